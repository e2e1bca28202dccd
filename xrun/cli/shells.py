"""bash, zsh and fish: the script that each is given, what it passes on, and how it wants its answer.

A script asks ``xrun`` itself, by an environment variable. The first line of an answer says whether words follow or the
shell completes ``files`` or ``dirs`` by its own means.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from xrun.cli.terminal import clean

VARIABLE = "_XRUN_COMPLETE"
"""Names the shell that asks."""

_SEPARATOR = "\x1f"  # between words; no shell lets one type it by accident
_SPECIAL = re.compile(r"([^\w@%+=:,./~-])")

_BASH = r"""
# completion of xrun for bash
%(complete_func)s() {
    local program="${1/#\~/$HOME}" reply line
    type -P -- "$program" >/dev/null 2>&1 || program=%(prog_name)s
    COMPREPLY=()
    reply=$(%(complete_var)s=bash _XRUN_WORDS="${COMP_LINE:0:COMP_POINT}" _XRUN_BREAKS="$COMP_WORDBREAKS" \
        "$program" 2>/dev/null </dev/null) || return 0
    case ${reply%%%%$'\n'*} in
        files) compopt -o default +o nospace 2>/dev/null ;;
        dirs) compopt -o dirnames +o nospace 2>/dev/null ;;
        words)
            [[ $reply == *$'\n'* ]] && while IFS= read -r line; do
                COMPREPLY+=("$line")
            done <<< "${reply#*$'\n'}"
            ;;
    esac
    return 0
}
complete -o nosort -o nospace -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -o nospace -F %(complete_func)s %(prog_name)s
"""

_ZSH = r"""#compdef %(prog_name)s
# completion of xrun for zsh

%(complete_func)s() {
    local program=${~words[1]} sep=$'\x1f' reply line kind value help
    local -a before lines closed closed_shown open open_shown
    whence -p -- "$program" >/dev/null || program=%(prog_name)s
    before=("${(@Q)words[1,CURRENT-1]}")
    reply=$(%(complete_var)s=zsh _XRUN_WORDS="${(pj:\x1f:)before}$sep${(Q)PREFIX}" "$program" 2>/dev/null </dev/null) ||
        return 1
    lines=("${(@f)reply}")
    case $lines[1] in
        files|dirs)
            [[ $PREFIX == -*=* ]] && compset -P '*='
            if [[ $lines[1] == dirs ]]; then _files -/; else _files; fi
            return
            ;;
    esac
    for line in "${(@)lines[2,-1]}"; do
        kind=${line%%%%$sep*} line=${line#*$sep}
        value=${line%%%%$sep*} help=${line#*$sep}
        if [[ $kind == open ]]; then
            open+=("$value") open_shown+=("$value${help:+  -- $help}")
        else
            closed+=("$value") closed_shown+=("$value${help:+  -- $help}")
        fi
    done
    (( $#closed )) && compadd -U -V xrun -l -d closed_shown -a closed
    (( $#open )) && compadd -U -V xrun-open -S '' -l -d open_shown -a open
    (( $#closed + $#open ))
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = r"""# completion of xrun for fish
function %(complete_func)s
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l program $before[1]
    command -q -- $program; or set program %(prog_name)s
    set -l words (string join \x1f -- $before "$current" | string collect)
    set -l reply (%(complete_var)s=fish _XRUN_WORDS=$words $program 2>/dev/null </dev/null)
    set -l head ""
    set -l value $current
    if string match -q -- '-*=*' $current
        set head (string replace -r -- '=.*' '=' $current)
        set value (string replace -r -- '^[^=]*=' '' $current)
    end
    switch "$reply[1]"
        case files
            printf '%%s\n' $head(__fish_complete_path "$value")
        case dirs
            printf '%%s\n' $head(__fish_complete_directories "$value" '')
        case words
            set -q reply[2]; and printf '%%s\n' $reply[2..]
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


class Asked(NamedTuple):
    """What stands at the command line before the cursor.

    Attributes:
        words: the complete ones, without the program.
        word: what is typed of the next, unquoted.
        kept: the part of it that the shell keeps as it is; candidates are given without it.
        quote: the quotation mark that is open.
    """

    words: list[str]
    word: str
    kept: str = ""
    quote: str = ""


class _Shell(ShellComplete):
    """What the three have in common; click's own protocol loses quotes and splits words at colons."""

    def asked(self) -> Asked:
        """The words that the shell has passed on."""
        words = os.environ.get("_XRUN_WORDS", "").split(_SEPARATOR)
        return Asked(words[1:-1], words[-1])

    def get_completion_args(self) -> tuple[list[str], str]:
        """As click wants it."""
        asked = self.asked()
        return asked.words, asked.word

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """From our own grammar, in which the verb may be left out."""
        from xrun.cli.candidates import candidates

        return candidates(args, incomplete)

    def complete(self) -> str:
        """The whole answer."""
        found = self.get_completions(*self.get_completion_args())
        native = next((item.type for item in found if item.type != "plain"), None)
        if native:
            return f"{native}s"
        return "\n".join(["words", *self.lines(item for item in found if item.value.isprintable())])

    def lines(self, items: Iterable[CompletionItem[str]]) -> list[str]:
        """A line a candidate."""
        return [self.format_completion(item) for item in items]

    def source(self) -> str:
        """The script."""
        return ShellComplete.source(self).lstrip("\n")


class Bash(_Shell, BashComplete):
    """bash, which replaces only what comes after the last of its word breaks, quotes nothing and adds no space."""

    source_template = _BASH

    def asked(self) -> Asked:
        """Bash's own words are split at colons and equal signs, so the line itself is read."""
        return read_line(os.environ.get("_XRUN_WORDS", ""), os.environ.get("_XRUN_BREAKS", ""))

    def lines(self, items: Iterable[CompletionItem[str]]) -> list[str]:
        """Each as bash is to insert it."""
        asked = self.asked()
        found = []
        for item in items:
            if item.value.startswith(asked.kept):
                text = item.value[len(asked.kept) :]
                if asked.quote:
                    found.append(re.sub(r'(["$`\\])', r"\\\1", text) if asked.quote == '"' else text)
                else:
                    found.append(_SPECIAL.sub(r"\\\1", text) + ("" if item.open else " "))
        return found


class Zsh(_Shell, ZshComplete):
    """zsh, which quotes by itself and is told whether a space follows."""

    source_template = _ZSH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Kind, word and help."""
        return _SEPARATOR.join(("open" if item.open else "word", item.value, clean(item.help or "")))


class Fish(_Shell, FishComplete):
    """fish, which quotes by itself and knows when no space follows."""

    source_template = _FISH

    def asked(self) -> Asked:
        """Its last word comes as it was typed."""
        asked = super().asked()
        return asked._replace(word="".join(split_arg_string(asked.word)[:1]))

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Word and help."""
        return f"{item.value}\t{clean(item.help)}" if item.help else item.value


SHELLS: dict[str, type[_Shell]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}
"""name -> its side of completion."""


def read_line(line: str, breaks: str) -> Asked:
    """The words of a bash command line that ends at the cursor.

    Args:
        line: the text, the program's name first.
        breaks: characters that end a word for readline (``COMP_WORDBREAKS``).
    """
    words: list[str] = []
    word, kept, quote, escaped, begun = "", "", "", False, False
    for char in line:
        if escaped:
            word, escaped = word + char, False
        elif char == "\\" and quote != "'":
            escaped = begun = True
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "\"'":
            quote, begun, kept = char, True, word
        elif char.isspace():
            words, word, kept, begun = [*words, word] if begun else words, "", "", False
        else:
            word, begun = word + char, True
            kept = word if char in breaks else kept
    if not quote and kept and not word.startswith(kept):
        kept = ""
    return Asked(words[1:], word, kept, quote)
