"""What an exchange carried, who sent it and whether it was an attack."""
