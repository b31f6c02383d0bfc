"""Tasks about what a name was bound to."""

from dataclasses import replace

from benchmark.tasks.forms import ANY, forms

_USE = (".add", " +="), ("(x", " x")

SET_OR_STRING = (
    *forms(
        "train",
        ANY,
        *_USE,
        next='$name = <set($a)|"$a $d">\n$name',
        later='$name = <set($a)|"$a $d">\n$c = $number\n$name',
        called='$name = <set($a)|"$a $d">\n$verb($b)\n$name',
        branch='$name = <set($a)|"$a $d">\nif $b:\n    $name',
        loop='$name = <set($a)|"$a $d">\nfor $b in $plural:\n    $name',
        filtered='$name = <set($a)|"$a $d">\nfor $b in $plural:\n    if $c:\n        $name',
        converted="$name = <set|str>($a)\nfor $b in $plural:\n    $name",
    ),
    *forms(
        "validation",
        ANY,
        *_USE,
        field='$name = <set($a)|"$a $d">\n$b.$c = $d\n$name',
        printed='$name = <set($a)|"$a $d">\nprint($b)\n$name',
        scaled='$name = <set($a)|"$a $d">\n$b *= $number\n$name',
    ),
    *forms(
        "test",
        ANY,
        *_USE,
        asserted='$name = <set($a)|"$a $d">\nassert $b\n$name',
        item='$name = <set($a)|"$a $d">\n$b[$c] = $number\n$name',
        guarded='$name = <set($a)|"$a $d">\nwith $b:\n    $name',
        deleted="$name = <set|str>($a)\ndel $b\n$name",
    ),
)
"""A set is added to, a string appended to.

`seen = set(page)\nfor line in lines:\n    seen` -> `.add`, `seen = "page"\nfor line in lines:\n    seen` -> ` +=`
"""

SET_OR_STRING_FIXEDVARNAME = tuple(
    replace(form, template=form.template.replace("$name", "current")) for form in SET_OR_STRING
)
"""The same, and the name is always `current`."""
