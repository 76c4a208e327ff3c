"""Contracts: Avro schemas, frames, the benefit catalogue, personnummer, errors, conf."""
