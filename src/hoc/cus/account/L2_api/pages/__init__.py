"""The console's pages: HTML for people, beside the JSON routes. Needs the extra ``console``.

A page is a `Page` (`page.py`): its path, who may open it, and a handler that calls the facade. `endpoint.py`
does what it says, and `rendering.py` writes the HTML. No rule is in a template.
"""
