"""Send order lines: python order.py WORKSPACE BUSINESS_DATE LINES.csv [PARTNER]"""

import csv
import hashlib
import json
import sys
from pathlib import Path

workspace, business_date, lines = sys.argv[1:4]
partner = sys.argv[4] if len(sys.argv) > 4 else "LIVBOLAGET-TEST"
data = Path(lines).read_bytes()
rows = len(list(csv.DictReader(data.decode("utf-8-sig").splitlines())))
digest = hashlib.sha256(data).hexdigest()
drop = Path(workspace, "inbox", f"order-{partner.lower()}-{business_date}-{digest[:8]}")
drop.mkdir()
(drop / "lines.csv").write_bytes(data)
head = {
    "source": partner,
    "dataset": "orders",
    "partner": partner,
    "business_date": business_date,
    "files": [{"name": "lines.csv", "rows": rows, "sha256": digest}],
}
(drop / "_drop.json").write_text(json.dumps(head), "utf-8")  # last: until it is there, the drop is not looked at
print(f"{drop.name}: {rows} lines")
