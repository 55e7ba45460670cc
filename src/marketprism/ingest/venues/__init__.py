"""One module per venue: message layouts and their mapping to event rows."""
