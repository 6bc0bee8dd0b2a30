def note(connection, who, action, detail=None): pass
