"""What passes between server and app, teed without being held up."""
