"""What syntax.py uses of the generated parser."""

from typing import Any

class LarkError(Exception): ...

class UnexpectedInput(LarkError):
    line: int
    column: int

class Token(str):
    type: str

class UnexpectedToken(UnexpectedInput):
    token: Token

class Transformer:
    def __default__(self, data: str, children: list[Any], meta: Any) -> Any: ...

class Lark_StandAlone:
    def __init__(self, transformer: Transformer | None = None) -> None: ...
    def parse(self, text: str, start: str | None = None) -> Any: ...
