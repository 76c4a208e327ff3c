-- DuckDB's avro extension knows no logical types: a date comes as days since 1970, money as the bytes of a number of öre.
CREATE OR REPLACE MACRO avro_date(days) AS DATE '1970-01-01' + days::INTEGER;
CREATE OR REPLACE MACRO avro_sek(data) AS ((
  ('0x' || lpad(right(hex(data), 16), 16, CASE WHEN left(hex(data), 1) >= '8' THEN 'F' ELSE '0' END))::UBIGINT::HUGEINT
    - CASE WHEN left(hex(data), 1) >= '8' THEN 18446744073709551616::HUGEINT ELSE 0 END
)::DECIMAL(12, 0) * 0.01::DECIMAL(3, 2))::DECIMAL(12, 2);
