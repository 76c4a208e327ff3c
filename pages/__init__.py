"""Pages for people, as HTML made of documents that the runs left: one file each, no script, nothing from the network."""
