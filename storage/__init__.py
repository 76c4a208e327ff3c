"""All reading and writing goes through here."""
