// The tree on screen: records that mirror the wire's nodes, changed by the operations of docs/browser-protocol.md.
//
// A record is {type, attrs, children, parent, el}. What is drawn is the painter's business (blocks.js):
//   create(record)               make record.el
//   update(record, names)        the attributes of those names changed
//   insert(parent, child, next)  put child.el into parent.el before next's (null: at the end); it may be there already
//   remove(record), replace(old, record)
// A node that moves keeps its element, so focus, selection and frames in it survive.

/** A patch that does not fit this tree: ask for the whole one. */
export class Misfit extends Error {}

export function build([type, attrs, nodes = []], painter, parent = null) {
  const record = { type, attrs: { ...attrs }, children: [], parent, el: null };
  painter.create(record);
  for (const node of nodes) {
    const child = build(node, painter, record);
    record.children.push(child);
    painter.insert(record, child, null);
  }
  return record;
}

/** Apply operations in order; returns the root, which may be a new one. Throws `Misfit`, after which the tree is undefined. */
export function apply(root, operations, painter) {
  for (const [kind, path, ...rest] of operations) {
    const record = find(root, path);
    if (kind === "a") alter(record, rest[0], painter);
    else if (kind === "r") {
      const made = exchange(record, rest[0], painter);
      if (record === root) root = made;
    } else if (kind === "i") {
      const [index, node] = rest;
      check(index, record.children.length);
      const child = build(node, painter, record);
      record.children.splice(index, 0, child);
      painter.insert(record, child, record.children[index + 1] ?? null);
    } else if (kind === "d") {
      const [index, count] = rest;
      check(index + count, record.children.length);
      for (const child of record.children.splice(index, count)) painter.remove(child);
    } else if (kind === "m") {
      const [from, to] = rest;
      check(Math.max(from, to), record.children.length - 1);
      const [child] = record.children.splice(from, 1);
      record.children.splice(to, 0, child);
      painter.insert(record, child, record.children[to + 1] ?? null);
    } else throw new Misfit(`unknown operation ${kind}`);
  }
  return root;
}

/** Make *root* show *node*, keeping the elements of all nodes that are still there. Returns the root. */
export function reconcile(record, node, painter) {
  const [type, attrs, nodes = []] = node;
  if (record.type !== type || record.attrs.k !== attrs.k) return exchange(record, node, painter);
  const changes = {};
  for (const name in record.attrs) if (!(name in attrs)) changes[name] = null;
  for (const name in attrs) if (!same(attrs[name], record.attrs[name])) changes[name] = attrs[name];
  alter(record, changes, painter);
  const staying = new Map(identities(record.children, (child) => [child.type, child.attrs.k]).map((id, i) => [id, record.children[i]]));
  record.children = identities(nodes, (child) => [child[0], child[1].k]).map((id, i) => {
    const old = staying.get(id);
    staying.delete(id);
    return old ? reconcile(old, nodes[i], painter) : build(nodes[i], painter, record);
  });
  for (const child of staying.values()) painter.remove(child);
  for (let i = record.children.length - 1; i >= 0; i--) {
    const next = record.children[i + 1] ?? null;
    if (record.children[i].el.parentNode !== record.el || record.children[i].el.nextSibling !== (next?.el ?? null))
      painter.insert(record, record.children[i], next);
  }
  return record;
}

/** The wire's form of a record, for tests and for whoever looks at a post in the console. */
export function toWire({ type, attrs, children }) {
  return children.length ? [type, attrs, children.map(toWire)] : [type, attrs];
}

function find(root, path) {
  let record = root;
  for (const index of path) record = record?.children[index];
  if (!record) throw new Misfit(`nothing at ${path}`);
  return record;
}

function check(index, most) {
  if (!(index >= 0 && index <= most)) throw new Misfit(`${index} is not within 0 and ${most}`);
}

function alter(record, changes, painter) {
  const names = Object.keys(changes);
  if (!names.length) return;
  for (const name of names) {
    if (changes[name] === null) delete record.attrs[name];
    else record.attrs[name] = changes[name];
  }
  painter.update(record, names);
}

function exchange(record, node, painter) {
  const made = build(node, painter, record.parent);
  if (record.parent) record.parent.children[record.parent.children.indexOf(record)] = made;
  painter.replace(record, made);
  return made;
}

// As the host's diff: type and key; without a key, type and the how-manieth of that type.
function identities(children, of) {
  const counts = {};
  return children.map((child) => {
    const [type, key] = of(child);
    if (key !== undefined) return `${type} ${typeof key} ${key}`;
    counts[type] = (counts[type] ?? 0) + 1;
    return `${type} ${counts[type]}`;
  });
}

function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
