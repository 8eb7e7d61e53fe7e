// What a call needs inside a kernel of TypeScript or JavaScript (Deno). It runs there once, and leaves no
// name: calls find it by Symbol.for("restified_magics").
(() => {
  const EVENT = "application/vnd.restified-magics.event+json";
  const DISPLAY = Symbol.for("Jupyter.display");
  let kept: unknown;

  class Refused extends Error {
    constructor(readonly where: string, readonly kind: string, readonly hint: string) {
      super(kind);
    }
  }

  const bytes = (text: string) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const base64 = (data: Uint8Array) => {
    let text = "";
    for (let at = 0; at < data.length; at += 0x8000) {
      text += String.fromCharCode(...data.subarray(at, at + 0x8000));
    }
    return btoa(text);
  };

  const decoded = (value: any): any => {
    if (Array.isArray(value)) return value.map(decoded);
    if (value === null || typeof value !== "object") return value;
    const named = (fields: any) => {
      const made: any = {};
      for (const name of Object.keys(fields)) {
        // and not by assignment, which for `__proto__` would be another thing
        Object.defineProperty(made, name, { value: decoded(fields[name]), enumerable: true, writable: true, configurable: true });
      }
      return made;
    };
    switch (value.$) {
      case undefined:
        return named(value);
      case "float":
        return { nan: NaN, inf: Infinity, "-inf": -Infinity }[value.text as string];
      case "date":
      case "datetime":
        return new Date(value.text);
      case "bytes":
        return bytes(value.base64);
      case "dict":
        return named(value.fields);
      case "table": {
        const names = Object.keys(value.columns);
        const columns = names.map((name) => decoded(value.columns[name]));
        return Array.from({ length: value.length }, (_, row) => {
          return Object.fromEntries(names.map((name, at) => [name, columns[at][row]]));
        });
      }
    }
    throw new TypeError(`not a value: ${value.$}`);
  };

  const encoded = (value: any, where: string, around: unknown[]): unknown => {
    if (value === null || value === undefined) return null;
    if (typeof value === "boolean" || typeof value === "string") return value;
    if (typeof value === "number") {
      if (Number.isNaN(value)) return { $: "float", text: "nan" };
      if (!Number.isFinite(value)) return { $: "float", text: value > 0 ? "inf" : "-inf" };
      if (Object.is(value, -0)) return { $: "float", text: "-0.0" };
      // beyond this, what it looks like is not what it is
      const exact = !Number.isInteger(value) || Number.isSafeInteger(value);
      return exact ? value : { $: "float", text: String(value) };
    }
    if (typeof value === "bigint") {
      return { $: "int", hex: (value < 0n ? "-0x" : "0x") + (value < 0n ? -value : value).toString(16) };
    }
    if (typeof value === "function") throw new Refused(where, "function", "Return what it gives, not the thing itself");
    if (typeof value !== "object") throw new Refused(where, typeof value, "Return plain data instead");
    if (around.includes(value)) throw new Refused(where, "value that contains itself", "Return something flatter");
    const inside = [...around, value];
    if (Array.isArray(value)) return value.map((item, at) => encoded(item, `${where}[${at}]`, inside));
    if (value instanceof Date) {
      const zone = { $: "timezone", seconds: 0, name: "UTC" };
      return { $: "datetime", text: value.toISOString().slice(0, -1), zone, fold: 0 };
    }
    if (value instanceof Map) {
      const pairs = [...value].flatMap(([key, item]) => [encoded(key, where, inside), encoded(item, `${where}.get(${String(key)})`, inside)]);
      return { $: "dict", pairs };
    }
    if (value instanceof Set) return { $: "set", items: [...value].map((item) => encoded(item, where, inside)) };
    if (value instanceof ArrayBuffer) return { $: "bytes", base64: base64(new Uint8Array(value)) };
    if (value instanceof Uint8Array) return { $: "bytes", base64: base64(value) };
    if (ArrayBuffer.isView(value)) return Array.from(value as any, (item) => encoded(item, where, inside));
    if (value instanceof Promise) throw new Refused(where, "Promise", "Await it in the cell");
    if (value instanceof Error) throw new Refused(where, value.name, "Throw it, or return its message as text");
    if (typeof value.toJSON === "function") return encoded(value.toJSON(), where, inside);
    if (typeof value.next === "function") throw new Refused(where, "generator", "Return an array of it");
    const kind = value.constructor?.name ?? "Object";
    const plain = Object.getPrototypeOf(value) === null || kind === "Object" || Object.keys(value).length > 0;
    if (!plain) throw new Refused(where, kind, "Return plain data instead, for instance an object or an array");
    const names = Object.keys(value);
    const items = names.map((name) => encoded(value[name], `${where}.${name}`, inside));
    if (names.includes("$") || names.includes("__proto__")) {
      return { $: "dict", pairs: names.flatMap((name, at) => [name, items[at]]) };
    }
    return Object.fromEntries(names.map((name, at) => [name, items[at]]));
  };

  const told = async (): Promise<unknown> => {
    try {
      const bundle = (kept as any)?.[DISPLAY];
      if (typeof bundle === "function") return { kind: "display", data: await bundle.call(kept) };
      return { kind: "value", value: encoded(kept, "", []) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { kind: "unencodable", where: error.where, type: error.kind, hint: error.hint };
    }
  };

  const helper = {
    given: (payload: string) => decoded(JSON.parse(new TextDecoder().decode(bytes(payload)))[0]),
    // keeps the value of the `return` cell, and displays it only where outputs are wanted
    keep: (value: unknown, shown: boolean) => {
      kept = value;
      return shown ? value : undefined;
    },
    // sends the value of the `return` cell
    give: async (nonce: string) => {
      const data = { [EVENT]: { nonce, body: JSON.stringify(await told()) } };
      await (Deno as any).jupyter.broadcast("display_data", { data, metadata: {}, transient: {} });
    },
  };
  Object.defineProperty(globalThis, Symbol.for("restified_magics"), { value: helper });

  // Left alone, an error in a timer, or in a promise that nobody awaits, ends the worker in which cells run,
  // and the kernel never answers again. It is told, and the cells go on.
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    console.error(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    console.error(event.reason);
  });
})();
