"""The command line: parse, call the API, print. One file a verb."""
