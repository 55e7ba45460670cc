"""One module per file format; a module that defines FORMAT is a source."""
