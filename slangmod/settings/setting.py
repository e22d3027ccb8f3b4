"""What a line of ``sections`` is made of: kinds of values, and how one is described."""

# ruff: noqa: E501  (one line per kind)
# fmt: off

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from slangmod.settings.free import FreeTable

# The description of a pattern says in words what it asks for: errors and help show it.
Duration = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?[smhd]$", description='a number and its unit s, m, h or d, such as "90s" or "2h"')]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description='1 to 64 letters, digits, ".", "_" and "-"')]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}(/trial-[0-9]{3,9})?$", description='1 to 64 letters, digits, ".", "_" and "-"')]
Device = Annotated[str, Field(pattern=r"^(cpu|(cuda|mps|xpu)(:[0-9]{1,3})?)$", description='a device of torch, such as "cpu", "cuda" or "cuda:1"')]
Span = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})? *(%|epochs?|[kMG]? *tokens)$", description='a text such as "5%" (of the planned training), "2 epochs" or "1M tokens"')]
LongSpan = Annotated[str, Field(pattern=r"^(0*[1-9][0-9]{0,11}(\.[0-9]{1,6})?|0+\.[0-9]{0,5}[1-9]0*) *(%|epochs?|[kMG]? *tokens)$", description='a text for more than nothing, such as "5%" (of the planned training), "2 epochs" or "1M tokens"')]
Plugin = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$", description='a class such as "torch.optim:RAdam", from torch, slangmod, or a package in plugins.allow')]
PluginFunction = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$", description='a class such as "torch.nn:SELU", from torch, slangmod, or a package in plugins.allow')]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Activation = Literal["elu", "gelu", "mish", "relu", "relu2", "swish"]
Gate = Literal["elu", "gelu", "mish", "none", "relu", "relu2", "sigmoid", "swish"]
Flavor = Literal["vanilla", "glu", "grn"]
Decay = Annotated[float, Field(ge=0, lt=1)]
Free = Annotated[FreeTable, PlainValidator(FreeTable), PlainSerializer(FreeTable.plain)]


def setting(default: Any, meaning: str, unit: str = "", **limits: Any) -> Any:
    """One setting: its default, what it means, its unit, and its limits.

    ``limits`` are pydantic's ``ge``, ``gt``, ``le``, ``lt``.
    """
    return Field(
        default=default,
        description=meaning,
        json_schema_extra={"unit": unit} if unit else None,
        **limits,
    )


class Section(BaseModel):
    """A table of settings: frozen, strict about types, closed to unknown names."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
    )
