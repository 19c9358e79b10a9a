"""Statements of claims, plain paragraphs with formulas in LaTeX, as HTML with MathML."""

import re

from .extras import needs

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+(?:\n[^$\n]+)*)\$", re.S)


def rendered(text):
    """HTML of `text`: ``$…$`` is a formula in the line, ``$$…$$`` one of its own.

    Formulas become MathML, which browsers draw by themselves, or stay LaTeX if they cannot be
    converted.  Everything else is escaped.  Needs the extra "verify".
    """
    markup = needs("markupsafe", "verify")
    paragraphs = [_paragraph(part, markup) for part in re.split(r"\n\s*\n", text.strip())]
    return markup.Markup("\n").join(paragraphs)


def in_line(text):
    """HTML of one paragraph, without the tags around it."""
    return _paragraph(text, needs("markupsafe", "verify"), around="")


def _paragraph(text, markup, around="p"):
    parts, end = [], 0
    for found in FORMULA.finditer(text):
        parts += [markup.escape(text[end : found.start()]), _mathml(found, markup)]
        end = found.end()
    inside = markup.Markup("").join([*parts, markup.escape(text[end:])])
    return markup.Markup("<{0}>{1}</{0}>").format(around, inside) if around else inside


def _mathml(found, markup):
    converter = needs("latex2mathml.converter", "verify")
    display, line = found.groups()
    try:
        made = converter.convert(display or line, display="block" if display else "inline")
    except Exception:  # each of its errors has a class of its own
        return markup.Markup("<code>{}</code>").format(found.group())
    return markup.Markup(made)
