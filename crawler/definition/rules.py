"""What a rule may say: which pages it takes, what it finds there, and where it goes from there.

A bare string where a selector may stand is one in the language of the rule's kind: CSS on HTML,
JMESPath on JSON. ``json`` is an attribute of pydantic's models, so here it is called ``json_``.
"""

from __future__ import annotations

import re as regex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, ValidationError

from crawler.definition import bodies, checks, kinds
from crawler.definition.checks import compiles, wrong
from crawler.definition.jmes import compile_json
from crawler.definition.patterns import compile_match
from crawler.definition.selectors import compile_css, compile_regex, compile_xpath
from crawler.definition.templates import compile_template, compile_url

ValueType = Literal["str", "int", "float", "decimal", "bool", "url", "datetime", "html"]
Flag = Annotated[bool, Field(strict=True)]
Priority = Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)]
Css = Annotated[str, AfterValidator(compiles(compile_css))]
XPath = Annotated[str, AfterValidator(compiles(compile_xpath))]
Json = Annotated[str, AfterValidator(compiles(compile_json))]
Regex = Annotated[str, AfterValidator(compiles(compile_regex))]
Match = Annotated[str, AfterValidator(compiles(compile_match))]
UrlTemplate = Annotated[str, AfterValidator(compiles(compile_url))]
JsonLd = Annotated[str, AfterValidator(checks.jsonld_path)]
RuleName = Annotated[str, AfterValidator(checks.rule_name)]
Label = Annotated[str, AfterValidator(checks.label)]
FieldName = Annotated[str, AfterValidator(checks.field_name)]
FormName = Annotated[str, Field(min_length=1, max_length=200)]
FormValue = Annotated[
    str, BeforeValidator(bodies.form_value), AfterValidator(compiles(compile_template))
]
JsonBody = Annotated[
    Any,
    AfterValidator(bodies.json_value),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array"}, {"type": "null"}]}),
]
_STEP: Final = regex.compile(r"\+\d{1,12}")


class Model(BaseModel):
    """A frozen table without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


def _as_css(value: Any) -> Any:
    return {"css": value} if isinstance(value, str) else value


def _as_change(value: Any) -> Any:
    if isinstance(value, str) and _STEP.fullmatch(value):
        return {"add": int(value)}
    return _as_css(value)


class Selecting(Model):
    """Where something is found on a page: one of ``css``, ``xpath``, ``json`` and ``re``.

    ``re`` beside another selector is applied to what that one finds, alone to the page's source.
    """

    sources: ClassVar[tuple[str, ...]] = ("css", "xpath", "json")
    apart: ClassVar[tuple[str, ...]] = ()  # sources that find nothing ``re`` could be applied to

    css: Css | None = Field(default=None, description="CSS, with ::text and ::attr(name)")
    xpath: XPath | None = Field(default=None, description="XPath 1.0")
    json_: Json | None = Field(
        default=None, alias="json", description="JMESPath, on pages of kind json"
    )
    re: Regex | None = Field(
        default=None, description="RE2 with at most one group, which is the result"
    )

    @model_validator(mode="after")
    def _check_sources(self) -> Selecting:
        names = self.given()
        if len(names) > 1:
            raise wrong(f"has {' and '.join(names)}; keep one of them")
        if not names and self.re is None:
            raise wrong(f"needs one of {', '.join(self.sources)} or re")
        if self.re is not None and names and names[0] in self.apart:
            raise wrong(f"has {names[0]} and re; keep one of them")
        return self

    def given(self) -> list[str]:
        """The sources that are named, besides ``re``."""
        return [name for name in self.sources if self.source(name) is not None]

    def source(self, name: str) -> Any:
        """What stands behind the name of a source; None where it is not given."""
        return getattr(self, "json_" if name == "json" else name)


class Value(Selecting):
    """One value of a page, or one that was carried along."""

    sources: ClassVar = ("css", "xpath", "json", "carry", "jsonld")

    carry: Label | None = Field(
        default=None, description="the name of a value that a follow carries here"
    )
    jsonld: JsonLd | None = Field(
        default=None,
        description="names joined by dots in the page's JSON-LD; @ is the whole object",
    )
    type: ValueType | None = Field(
        default=None,
        description="str unless said; carried, JSON and JSON-LD values keep their own",
    )
    many: Flag = Field(default=False, description="a list of all matches instead of the first")
    default: Any = Field(default=None, description="what stands in for a value that is not found")

    @property
    def kind(self) -> str | None:
        """The type its values are brought to; None: they keep their own."""
        keeps_type = not self.re and (self.carry or self.jsonld or self.json_)
        return self.type or (None if keeps_type else "str")

    @model_validator(mode="after")
    def _check_default(self) -> Value:
        if self.default is not None:
            checks.check_default(self.kind, self.many, self.default)
        return self


class ItemField(Value):
    """One field of the items that a rule yields."""

    required: Flag = Field(
        default=False, description="an item without this field counts as incomplete"
    )

    @model_validator(mode="after")
    def _check_required(self) -> ItemField:
        if self.required and self.default is not None:
            raise wrong("required and default exclude each other; keep one of them")
        return self


Carried = Annotated[Value, BeforeValidator(_as_css, json_schema_input_type=str | Value)]
ItemEntry = Annotated[ItemField, BeforeValidator(_as_css, json_schema_input_type=str | ItemField)]


class Each(Selecting):
    """What repeats on a page: ``item`` and ``follow`` look at each of its matches by itself."""

    @model_validator(mode="after")
    def _check_parts(self) -> Each:
        if self.re is not None:
            raise wrong("re finds text, and nothing can be found within it; name elements")
        if self.css is not None and not compile_css(self.css).finds_elements:
            raise wrong("finds text; leave ::text and ::attr() to the fields within")
        return self


class Change(Selecting):
    """What `next` makes of one value of the query: one more step, or what a selector finds."""

    sources: ClassVar = ("css", "xpath", "json", "add")
    apart: ClassVar = ("add",)

    add: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = Field(
        default=None,
        description='added to the present value; "+1" is short for it. A missing value counts as 1 '
        "where 1 is added (pages), otherwise as 0 (offsets)",
    )


class Next(Selecting):
    """Pagination: the first link found leads to more of the same, at the same depth."""

    sources: ClassVar = ("css", "xpath", "json", "query")
    apart: ClassVar = ("query",)

    query: (
        Annotated[
            Mapping[
                FormName,
                Annotated[Change, BeforeValidator(_as_change, json_schema_input_type=str | Change)],
            ],
            Field(min_length=1, max_length=10),
        ]
        | None
    ) = Field(
        default=None,
        description='how the query of the page\'s own URL changes: "+1", or a selector of its '
        "new value",
    )
    join: Flag = Field(
        default=False,
        description="the item goes on over the next pages, and is written with the last",
    )
    priority: Priority = Field(
        default=0, description="pages with a higher number are fetched first"
    )


class Follow(Selecting):
    """Links to other pages. A selector that finds elements takes their href (or src).

    ``json`` with a table or list is short for ``json_body``.
    """

    sources: ClassVar = ("css", "xpath", "json", "url")
    apart: ClassVar = ("url",)

    json_: Json | None = Field(
        default=None,
        alias="json",
        description="JMESPath, on pages of kind json; a table or list is a body to send",
        json_schema_extra={"anyOf": [{"type": t} for t in ("string", "object", "array", "null")]},
    )
    url: UrlTemplate | None = Field(
        default=None,
        description="a URL with {placeholders}: carried values by name, on JSON also values of "
        "the page by names joined by dots",
    )
    to: RuleName | None = Field(default=None, description="the rule that takes these pages")
    priority: Priority = Field(
        default=0, description="pages with a higher number are fetched first"
    )
    carry: Annotated[Mapping[Label, Carried], Field(max_length=50)] = Field(
        default={}, description="values of this page that travel with the links"
    )
    method: Literal["GET", "POST"] | None = Field(
        default=None, description="POST where there is a form or a body, otherwise GET"
    )
    form: Annotated[Mapping[FormName, FormValue], Field(min_length=1, max_length=100)] | None = (
        Field(default=None, description="fields to send urlencoded, with {placeholders}")
    )
    json_body: JsonBody = Field(
        default=None, description="a table or list to send as JSON, with {placeholders}"
    )

    @model_validator(mode="before")
    @classmethod
    def _split_json(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("json"), Mapping | list):
            return data
        if data.get("json_body") is not None:
            raise wrong("has two bodies, json and json_body; keep one of them")
        others = {key: value for key, value in data.items() if key != "json"}
        return {**others, "json_body": data["json"]}

    @property
    def posts(self) -> bool:
        """Whether its requests are sent by POST."""
        return self.method == "POST" or self.form is not None or self.json_body is not None


class Browsing(Model):
    """How the pages of a rule are shown in a browser."""

    load: Annotated[
        tuple[Literal["images", "media", "fonts"], ...], AfterValidator(checks.different)
    ] = Field(default=(), description="what is loaded too; scripts, styles and data always are")
    wait_for: Css | None = Field(
        default=None,
        description="CSS of an element: the page is ready when it is there. Unless said, it is "
        "when what it loads is there and half a second was quiet",
    )

    @model_validator(mode="after")
    def _check_element(self) -> Browsing:
        if self.wait_for is not None and not compile_css(self.wait_for).finds_elements:
            raise wrong("wait_for finds text; name an element, without ::text and ::attr()")
        return self


class Rule(Model):
    """What is done with the pages it takes: those sent by ``to``, otherwise by ``match``."""

    name: RuleName | None = Field(
        default=None, description="what follow.to and items call this rule"
    )
    match: Match | None = Field(
        default=None,
        description="URL glob (* within /, ** anything) or re: with a regular expression",
    )
    kind: Literal["html", "json", "file"] = Field(
        default="html",
        description="what its pages are, and what a bare selector is; file: they are kept as they "
        "are, whatever they are",
    )
    fetcher: Literal["http", "browser"] = Field(
        default="http",
        description="browser: its pages are as an installed Chromium shows them, scripts run",
    )
    browser: Browsing = Field(default=Browsing(), description='how, with fetcher = "browser"')
    each: Annotated[Each, BeforeValidator(_as_css, json_schema_input_type=str | Each)] | None = (
        Field(default=None, description="item and follow are for every match of this by itself")
    )
    follow: Annotated[
        tuple[
            Annotated[Follow, BeforeValidator(_as_css, json_schema_input_type=str | Follow)], ...
        ],
        Field(max_length=100),
    ] = ()
    next: Annotated[Next, BeforeValidator(_as_css, json_schema_input_type=str | Next)] | None = None
    item: Annotated[Mapping[FieldName, ItemEntry], Field(max_length=200)] = Field(
        default={}, description="field by field, what an item of this rule holds"
    )
    structured: Flag = Field(
        default=False,
        description="a field of that name with the page's JSON-LD, OpenGraph, Twitter and "
        "microdata",
    )

    @model_validator(mode="before")
    @classmethod
    def _speak_json(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("kind") == "json":
            return kinds.in_json(data, lambda text: _STEP.fullmatch(text) is not None)
        return data

    @model_validator(mode="after")
    def _check_sense(self) -> Rule:
        if self.name is None and self.match is None:
            raise wrong("takes no page: give it a match, or a name that a follow sends pages to")
        problems = [
            InitErrorDetails(type=wrong(reason), loc=path, input=None)
            for path, reason in kinds.conflicts(self)
        ]
        if problems:
            raise ValidationError.from_exception_data("Rule", problems)
        return self
