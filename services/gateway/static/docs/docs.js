/* The API reference: draws /api/openapi.json, grouped by tag, with a search and a form to try each operation.
 * Everything from the document goes in as text, never as markup. */
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const byId = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (name === "on") element.addEventListener(value[0], value[1]);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  for (const child of children.flat())
    if (child !== null && child !== undefined) element.append(child);
  return element;
}

/* --- the document ---------------------------------------------------------------------------------------------- */
let doc;

function resolve(schema) {
  for (let hops = 0; schema && schema.$ref && hops < 16; hops++)
    schema = schema.$ref.replace(/^#\//, "").split("/")
      .reduce((at, part) => at && at[part.replace(/~1/g, "/").replace(/~0/g, "~")], doc);
  return schema || {};
}

function typeName(schema) {
  if (schema && schema.$ref) return schema.$ref.split("/").pop();
  const s = resolve(schema);
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(" | ");
  const type = Array.isArray(s.type) ? s.type.join(" | ") : s.type;
  if (type === "array") return typeName(s.items) + "[]";
  return s.format ? `${type} (${s.format})` : type || "any";
}

/* A value that fits, for the body of the form. */
function example(schema, depth = 0) {
  const s = resolve(schema);
  if (s.example !== undefined) return s.example;
  if (Array.isArray(s.examples) && s.examples.length) return s.examples[0];
  if (s.default !== undefined) return s.default;
  if (s.enum) return s.enum[0];
  const type = Array.isArray(s.type) ? s.type[0] : s.type;
  if (type === "object" || s.properties) {
    const out = {};
    if (depth < 5)
      for (const [name, property] of Object.entries(s.properties || {})) out[name] = example(property, depth + 1);
    return out;
  }
  if (type === "array") return depth < 5 ? [example(s.items, depth + 1)] : [];
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return false;
  if (s.format === "date-time") return "2026-01-01T00:00:00Z";
  return "";
}

function operations() {
  const list = [];
  for (const [path, item] of Object.entries(doc.paths || {}))
    for (const method of METHODS) {
      const op = item[method];
      if (!op) continue;
      list.push({
        path, method, op,
        id: op.operationId || `${method}-${path}`,
        tag: (op.tags && op.tags[0]) || "other",
        parameters: [...(item.parameters || []), ...(op.parameters || [])].map(resolve),
      });
    }
  return list;
}

/* --- one operation --------------------------------------------------------------------------------------------- */
function parameterTable(parameters) {
  if (!parameters.length) return null;
  return [make("h3", {}, "Parameters"), make("table", {}, parameters.map((p) => make("tr", {},
    make("td", {}, p.name, " ", make("span", { class: "tag" }, p.in)),
    make("td", {}, typeName(p.schema)),
    make("td", {}, p.description || ""))))];
}

function propertyTable(title, schema) {
  const s = resolve(schema);
  const names = Object.entries(s.properties || {});
  if (!names.length) return [make("h3", {}, title), make("p", { class: "quiet" }, typeName(schema))];
  return [make("h3", {}, title), make("table", {}, names.map(([name, property]) => make("tr", {},
    make("td", {}, name, (s.required || []).includes(name) ? make("span", { class: "tag" }, "required") : null),
    make("td", {}, typeName(property)),
    make("td", {}, resolve(property).description || property.description || ""))))];
}

function contentSchema(holder) {
  const content = resolve(holder).content || {};
  const type = Object.keys(content)[0];
  return type ? { type, schema: content[type].schema || {}, example: content[type].example } : null;
}

function responseList(responses) {
  return [make("h3", {}, "Answers"), make("table", {}, Object.entries(responses || {}).map(([code, r]) => {
    const content = contentSchema(r);
    return make("tr", {}, make("td", {}, code), make("td", {}, content ? typeName(content.schema) : "no body"),
      make("td", {}, resolve(r).description || ""));
  }))];
}

async function send(entry, fields, body, output) {
  let path = entry.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, input] of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "" && parameter.in === "query") query.append(parameter.name, input.value);
    else if (input.value !== "" && parameter.in === "header") headers[parameter.name] = input.value;
  }
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: entry.method.toUpperCase(), headers };
  if (body) {
    headers["Content-Type"] = body.type;
    options.body = body.input.value;
  }
  const target = path + (query.size ? `?${query}` : "");
  const began = performance.now();
  const answer = await fetch(target, options);
  const text = await answer.text();
  const ms = Math.round(performance.now() - began);
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
  output.replaceChildren(
    make("p", { class: `status ${answer.ok ? "good" : "bad"}` }, `${answer.status} ${answer.statusText} · ${ms} ms`),
    make("pre", {}, [...answer.headers].map(([n, v]) => `${n}: ${v}`).join("\n")),
    shown ? make("pre", {}, shown) : make("p", { class: "quiet" }, "no body"));
}

function tryForm(entry) {
  const output = make("div", { "aria-live": "polite" });
  const content = entry.op.requestBody ? contentSchema(entry.op.requestBody) : null;
  const fields = entry.parameters.map((p) =>
    [p, make("input", { id: `${entry.id}.${p.name}`, value: p.example ?? "", required: p.in === "path" })]);
  const body = content && {
    type: content.type,
    input: make("textarea", { spellcheck: "false", "aria-label": "Request body" },
      JSON.stringify(content.example ?? example(content.schema), null, 2)),
  };
  const button = make("button", {}, "Send");
  const form = make("form", {
    on: ["submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try { await send(entry, fields, body, output); }
      catch (error) { output.replaceChildren(make("p", { class: "status bad" }, String(error))); }
      button.disabled = false;
    }],
  }, fields.map(([p, input]) => make("div", { class: "row" }, make("label", { for: input.id }, p.name), input)),
    body ? body.input : null, button);
  return [make("h3", {}, "Try it"), form, output];
}

function fill(box, entry) {
  const { op } = entry;
  const request = op.requestBody && contentSchema(op.requestBody);
  box.append(...[
    op.description && op.description !== op.summary ? make("p", {}, op.description) : null,
    parameterTable(entry.parameters),
    request ? propertyTable("Body", request.schema) : null,
    responseList(op.responses),
    tryForm(entry),
  ].flat().filter(Boolean));
}

function operation(entry) {
  const box = make("div", { class: "inside" });
  const needsToken = (entry.op.security || doc.security || []).some((s) => Object.keys(s).length);
  const details = make("details", {
    class: "op", id: entry.id,
    on: ["toggle", () => { if (details.open && !box.childNodes.length) fill(box, entry); }],
  }, make("summary", {},
    make("span", { class: `verb ${entry.method}` }, entry.method.toUpperCase()),
    make("code", {}, entry.path),
    needsToken ? make("span", { class: "tag" }, "token") : null,
    make("span", { class: "what" }, entry.op.summary || entry.op.operationId || "")), box);
  return details;
}

/* --- the page ---------------------------------------------------------------------------------------------------- */
function draw(filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map();
  for (const entry of operations()) {
    const text = `${entry.method} ${entry.path} ${entry.id} ${entry.tag} ${entry.op.summary || ""}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    if (!groups.has(entry.tag)) groups.set(entry.tag, []);
    groups.get(entry.tag).push(entry);
  }
  const main = byId("main"), nav = byId("nav");
  const info = doc.info || {};
  main.replaceChildren(make("h1", {}, info.title || "API"),
    make("p", { class: "quiet" }, `${info.version || ""} ${info.description || ""}`));
  nav.replaceChildren();
  for (const [tag, entries] of groups) {
    main.append(make("h2", {}, tag), ...entries.map(operation));
    nav.append(make("h2", {}, tag), ...entries.map((entry) => make("a", { href: `#${entry.id}`, title: entry.path },
      make("span", { class: `verb ${entry.method}` }, entry.method.toUpperCase()),
      make("span", { class: "name" }, entry.id.split(/[._]/).pop()))));
  }
  if (!groups.size) main.append(make("p", { class: "quiet" }, "Nothing matches."));
}

function openTarget() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}

async function start() {
  const answer = await fetch("/api/openapi.json");
  if (!answer.ok) throw new Error(`/api/openapi.json: ${answer.status}`);
  doc = await answer.json();
  draw("");
  openTarget();
  byId("search").addEventListener("input", (event) => draw(event.target.value));
  window.addEventListener("hashchange", openTarget);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      byId("search").focus();
    }
  });
}

start().catch((error) => byId("main").replaceChildren(make("p", { class: "status bad" }, String(error))));
