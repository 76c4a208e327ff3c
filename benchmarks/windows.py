from transforms.compensate import compensate as ours
import polars as pl
def compensate(facts, unit):
    f=facts.with_columns(benefit=pl.lit("x"), unit=pl.lit(unit)).sort("person")
    return ours(f).drop("benefit","unit","withdrawn","recorded_at","stated_days")
