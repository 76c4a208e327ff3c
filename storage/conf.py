"""Read the configuration: the packaged files, each replaced whole by a file of the same name in the workspace."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.config import REGISTER, Benefit, Benefits, Closures, Conf, Engines, Machine, Partners, Retention
from schemas.errors import UsageError
from schemas.personnummer import without_numbers
from schemas.rules import CertificateRules, GuaranteeRules, Rules

Model = TypeVar("Model", bound=BaseModel)
PLAIN = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "tuple_type": "should be a list",
    "dict_type": "should have keys and values",
    "model_type": "should have keys and values",
}
SHORT = 40
PARTNER_NAME = re.compile(r"[A-Za-z0-9ÅÄÖåäö][A-Za-z0-9ÅÄÖåäö._-]{0,63}")


class Loader(yaml.SafeLoader):
    """YAML in which `off` and `NO` are words and only true and false are truth values; a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.YAMLError(f"{key!r} stands there twice, line {node.value[place][0].start_mark.line + 1}")
        return super().construct_mapping(node, deep)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def packaged(name: str) -> str:
    """The text of a packaged conf file, such as `benefits.yaml` or `rules/guarantee.yaml`."""
    return (resources.files("lefi_conf") / name).read_text("utf-8")


def packaged_benefits() -> dict[str, Benefit]:
    """The benefit catalogue that ships with lefi."""
    return Benefits.model_validate(yaml.load(packaged("benefits.yaml"), Loader)).benefits


def read_part(folder: Path, name: str, model: type[Model]) -> Model:
    """One conf file as its model. UsageError names the file, the key and what is wrong with it."""
    path = folder / f"{name}.yaml"
    if path.is_symlink() and not path.exists():
        raise UsageError(f"conf/{name}.yaml is a link that leads nowhere: have it lead to the file, or remove it")
    if path.exists():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"conf/{name}.yaml is not UTF-8 (byte {error.start})") from error
    elif name == "partners":
        raise UsageError(f"{folder}/partners.yaml is missing: say in it who the partners are and what each may be told")
    else:
        text = packaged(f"{name}.yaml")
    try:
        return model.model_validate(yaml.load(text, Loader) or {})
    except yaml.YAMLError as error:
        raise UsageError(f"conf/{name}.yaml is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UsageError(f"conf/{name}.yaml: {place or 'the whole file'}: {explain(first)}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"conf/{name}.yaml cannot be read: {error}") from error


def explain(error: ErrorDetails) -> str:
    """What is wrong with a key, and its value where that is short."""
    if error["type"] in PLAIN:
        return PLAIN[error["type"]]
    value = error["input"]
    shown = f", not {value!r}" if isinstance(value, str | int | float) and len(repr(value)) < SHORT else ""
    return error["msg"].removeprefix("Value error, ") + shown


def require_known(partners: Partners, benefits: Benefits, closures: Closures) -> None:
    """Hold the parts against each other. UsageError names what one says and another does not know."""
    known = benefits.benefits.keys()
    if REGISTER in known:
        raise UsageError(f"conf/benefits.yaml: benefits.{REGISTER}: the register's own name cannot be a benefit's")
    for name, partner in partners.partners.items():
        if not PARTNER_NAME.fullmatch(name):
            raise UsageError(
                f"conf/partners.yaml: partner '{name}': the name becomes a folder: letters, digits, '.', '_' and '-' only, at most 64"
            )
        for benefit in sorted(partner.permitted - known):
            raise UsageError(f"conf/partners.yaml: partners.{name}.permissions: benefit '{benefit}' is not in conf/benefits.yaml")
    for closure in closures.closures:
        for chain in sorted(set(closure.benefits) - known - {REGISTER}):
            raise UsageError(f"conf/closures.yaml: closures: '{chain}' is neither a benefit of conf/benefits.yaml nor {REGISTER}")
    for benefit in sorted(set(closures.off) - known - {REGISTER}):
        raise UsageError(f"conf/closures.yaml: off: '{benefit}' is neither a benefit of conf/benefits.yaml nor {REGISTER}")


def read_conf(folder: Path) -> Conf:
    """Read and check all of conf. UsageError when a part is wrong or names an unknown benefit."""
    partners, benefits, closures = (
        read_part(folder, n, m) for n, m in (("partners", Partners), ("benefits", Benefits), ("closures", Closures))
    )
    assert isinstance(partners, Partners)
    assert isinstance(benefits, Benefits)
    assert isinstance(closures, Closures)
    require_known(partners, benefits, closures)
    for text in texts_of(partners, closures):
        if without_numbers(text) != text:
            raise UsageError(
                "conf: a partner's name, purpose or code, or a closure's text, has a personnummer: conf goes into runs/ and pages"
            )
    return Conf(
        partners=partners.partners,
        benefits=benefits.benefits,
        closures=closures.closures,
        off=frozenset(closures.off),
        rules=Rules(
            guarantee=read_rule(folder, "guarantee", GuaranteeRules), certificates=read_rule(folder, "certificates", CertificateRules)
        ),
    )


def texts_of(partners: Partners, closures: Closures) -> Iterator[str]:
    """What conf says in its own words."""
    for code, partner in partners.partners.items():
        yield from (code, partner.name, *(permission.purpose for permission in partner.permissions))
    yield from (closure.text for closure in closures.closures)


def read_retention(folder: Path) -> Retention:
    """How long things are kept. UsageError when the file is wrong."""
    return read_part(folder, "retention", Retention)


def read_machine(folder: Path) -> Machine:
    """What the machine has. UsageError when the file is wrong."""
    return read_part(folder, "machine", Machine)


def read_engines(folder: Path) -> Engines:
    """Where the pipelines can run. UsageError when the file is wrong."""
    return read_part(folder, "engines", Engines)


def read_rule(folder: Path, name: str, model: type[Model]) -> Model:
    """One file of conf/rules, which a workspace may also have without that folder. UsageError when it has both."""
    if not (folder / f"{name}.yaml").exists():
        return read_part(folder, f"rules/{name}", model)
    if (folder / "rules" / f"{name}.yaml").exists():
        raise UsageError(f"conf/{name}.yaml and conf/rules/{name}.yaml are both there: take one of them away")
    return read_part(folder, name, model)
