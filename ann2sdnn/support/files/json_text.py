"""Reading the JSON files of this project, whose content a pydantic model describes."""

import json
from pathlib import Path
from typing import Any, TypeVar

import pydantic

_Model = TypeVar("_Model", bound=pydantic.BaseModel)

SCHEMA_KEY = "schema"

_Record = TypeVar("_Record", bound="Record")


class Record(pydantic.BaseModel):
    """A value of a JSON file: frozen, and with exactly the keys of its fields."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def joined(cls: type[_Record], *parts: "Record", **others: Any) -> _Record:
        """A value with all fields of ``parts``, from whose classes ``cls`` derives, and others."""
        fields = {name: getattr(part, name) for part in parts for name in type(part).model_fields}
        return cls(**fields, **others)


def read_model(path: Path, model: type[_Model], *, schema: int, key: str = SCHEMA_KEY) -> _Model:
    """The content of ``path`` as ``model``.

    ``key``: where the file says its schema. Raises ValueError with a reason in one line for a file
    that cannot be read, is of another schema or form, or holds a number that is not finite.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(content, dict):
            raise ValueError(f"it is a {type(content).__name__}, expected an object")
        found = content.get(key)
        if found != schema or isinstance(found, bool):
            raise ValueError(f"its {key} is {found}, and this version reads {schema}")
        return model.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise ValueError(first_fault(error)) from error
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def first_fault(error: pydantic.ValidationError) -> str:
    """The first thing that is wrong, and where, in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number")
