"""Commands: one function each, whose arguments are the words of the command line. They may print."""
