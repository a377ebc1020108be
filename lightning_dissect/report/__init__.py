"""From records to rows, pictures and the data of the page."""
