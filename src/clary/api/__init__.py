"""Generated request and response types; never edited by hand."""
