#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes of schema/policy-api.json what the manager serves and checks by:

    policy_api.py INPUT ROUTES OPENAPI CHECKS

ROUTES: policy_api_routes.h, the table of routes as an X macro. OPENAPI: the document for clients.
CHECKS: a JSON Schema for the bodies of requests.
"""

import copy
import json
import sys

NOT_FOR_CHECKS = ("readOnly", "x-base", "x-one-of")


def expand(api):
    """Definitions with what their base has."""
    defs = {}
    for name, given in api["$defs"].items():
        one = copy.deepcopy(given)
        base = one.pop("x-base", None)
        if base is not None:
            one = {"type": "object", "additionalProperties": False, **one}
            one["properties"] = {**copy.deepcopy(api["bases"][base]), **one["properties"]}
        defs[name] = one
    return defs


def routes_of(api):
    """All routes: those of the collections, then the others."""
    for c in api["collections"]:
        one, kind = f"{c['path']}/{{{c['id']}}}", c["kind"]
        yield {"method": "GET", "path": c["path"], "handler": "object_list", "list": True,
               "constant": c["constant"], "summary": c["plural"], "answer": f"{kind}ListResult"}
        yield {"method": "GET", "path": one, "handler": "object_read", "constant": c["constant"],
               "summary": f"One {c['summary']}", "answer": kind}
        yield {"method": "PUT", "path": one, "handler": "object_put", "constant": c["constant"],
               "summary": f"Makes or replaces a {c['summary']}", "body": kind, "answer": kind}
        yield {"method": "PATCH", "path": one, "handler": "object_patch",
               "constant": c["constant"], "body": kind,
               "summary": f"Makes a {c['summary']}, or changes the members given"}
        yield {"method": "DELETE", "path": one, "handler": "object_delete",
               "constant": c["constant"], "summary": f"Takes a {c['summary']} away"}
    yield from api["routes"]


def for_checks(value):
    if isinstance(value, dict):
        return {k: for_checks(v) for k, v in value.items() if k not in NOT_FOR_CHECKS}
    return [for_checks(v) for v in value] if isinstance(value, list) else value


def for_clients(value):
    """OpenAPI 3.0 has its definitions elsewhere and wants the types of enumerations."""
    if isinstance(value, list):
        return [for_clients(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "x-one-of" in value:
        names = value["x-one-of"]
        refs = {name: f"#/components/schemas/{name}" for name in names}
        return {"oneOf": [{"$ref": ref} for ref in refs.values()],
                "discriminator": {"propertyName": "resource_type", "mapping": refs}}
    out = {k: for_clients(v) for k, v in value.items()}
    if "$ref" in out:
        out["$ref"] = out["$ref"].replace("#/$defs/", "#/components/schemas/")
    if isinstance(out.get("enum"), list) and "type" not in out:
        out["type"] = "boolean" if isinstance(out["enum"][0], bool) else "string"
    return out


def answer_schema(members):
    def one(text):
        if isinstance(text, list):
            return {"type": "array", "items": one(text[0])}
        if text.startswith("#"):
            return {"$ref": f"#/components/schemas/{text[1:]}"}
        return {"type": text}
    return {"type": "object", "properties": {k: one(v) for k, v in members.items()}}


def content(name):
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def operation(route):
    names = [part[1:-1] for part in route["path"].split("/") if part.startswith("{")]
    queries = list(route.get("query", ()))
    out = {"summary": route["summary"], "operationId": operation_id(route)}
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                  for name in names]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in queries]
    if route.get("list"):
        parameters += [
            {"name": "cursor", "in": "query", "schema": {"type": "string"},
             "description": "Of the answer before: where to go on."},
            {"name": "page_size", "in": "query",
             "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}}]
    if parameters:
        out["parameters"] = parameters
    if "body" in route:
        out["requestBody"] = {"required": True, "content": content(route["body"])}
    ok = {"description": "Done"}
    if "answer" in route:
        ok["content"] = content(route["answer"])
    out["responses"] = {"200": ok, "default": {"description": "Refused",
                                               "content": content("ApiError")}}
    return out


def operation_id(route):
    words = [route["method"].lower()]
    for part in route["path"].strip("/").split("/"):
        words.append("by-" + part[1:-1] if part.startswith("{") else part)
    return "-".join(words).replace(".", "-")


def openapi(api, defs):
    paths, schemas = {}, {name: for_clients(one) for name, one in defs.items()}
    for name, members in api["answers"].items():
        schemas[name] = answer_schema(members)
    for c in api["collections"]:
        schemas[f"{c['kind']}ListResult"] = answer_schema(
            {"results": [f"#{c['kind']}"], "result_count": "integer", "cursor": "string"})
    for route in routes_of(api):
        paths.setdefault(route["path"], {})[route["method"].lower()] = operation(route)
    return {
        "openapi": "3.0.3",
        "info": {"title": api["title"], "version": api["version"],
                 "description": api["description"]},
        "servers": [{"url": api["base"]}],
        "security": [{"basic": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "vmware_soap_session"}},
        },
    }


def routes_header(api):
    lines = ["/* SPDX-License-Identifier: Apache-2.0 */",
             "/* Routes below " + api["base"] + ": X(method, path, handler, kind, body). Made of",
             " * schema/policy-api.json by schema/policy_api.py. */",
             "#pragma once", "", f"#define POLICY_API_BASE \"{api['base']}\"", "",
             "#define POLICY_API_ROUTES(X) \\"]
    rows = []
    for r in routes_of(api):
        body = f"\"{r['body']}\"" if "body" in r else "NULL"
        rows.append(f"\tX(\"{r['method']}\", \"{r['path']}\", {r['handler']}, "
                    f"{r.get('constant', 'INTENT_N_KINDS')}, {body})")
    return "\n".join(lines) + "\n" + " \\\n".join(rows) + "\n"


def main():
    source, routes, document, checks = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        api = json.load(file)
    defs = expand(api)
    with open(routes, "w", encoding="ascii") as file:
        file.write(routes_header(api))
    with open(document, "w", encoding="ascii") as file:
        json.dump(openapi(api, defs), file, indent=1)
        file.write("\n")
    with open(checks, "w", encoding="ascii") as file:
        json.dump({"$defs": for_checks(defs)}, file)


if __name__ == "__main__":
    main()
