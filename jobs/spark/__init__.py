"""Jobs for a Spark cluster: they read and write a workspace's Delta tables with delta-spark, and its Avro files with Spark's own reader."""
