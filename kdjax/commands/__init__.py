"""What each `kdjax` command does; each is one function of the parsed arguments."""
