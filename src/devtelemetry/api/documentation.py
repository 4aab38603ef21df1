"""/docs: the OpenAPI document, for reading and trying out, in the colours of the dashboard."""

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

STATIC = "/docs-assets"
"""The path of Swagger UI's own files"""

# The colours chosen on the dashboard, or else the system's. Swagger UI goes by the class.
_COLOURS = """<script>
const system = matchMedia("(prefers-color-scheme: dark)");
const colour = () => {
  const [, chosen] = document.cookie.match(/devtelemetry_theme=(light|dark)/) || [];
  const dark = chosen ? chosen === "dark" : system.matches;
  document.documentElement.classList.toggle("dark-mode", dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
};
system.addEventListener("change", colour);
colour();
</script>
"""


def add_documentation(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} - HTTP API",
            swagger_js_url=f"{root}{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{root}{STATIC}/favicon.png",
        )
        head, end, rest = bytes(page.body).decode().partition("</head>")
        return HTMLResponse(f"{head}{_COLOURS}{end}{rest}")
