// The tree on screen: records {type, attrs, children, parent, el}, drawn by a painter (docs/browser-client.md).

/** A patch that does not fit: the tree is spoilt, ask for the whole one. */
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

export function apply(root, operations, painter) {
  for (const [kind, path, ...rest] of operations) {
    const record = path.reduce((at, index) => at?.children[index], root);
    const children = record?.children;
    const [first, second] = rest;
    const need = (index, most) => {
      if (!(index >= 0 && index <= most)) throw new Misfit(`${kind} at ${path}`);
    };
    need(record ? 0 : 1, 0);
    if (kind === "a") alter(record, first, painter);
    else if (kind === "r") {
      const made = exchange(record, first, painter);
      if (record === root) root = made;
    } else if (kind === "i") {
      need(first, children.length);
      const child = build(second, painter, record);
      children.splice(first, 0, child);
      painter.insert(record, child, children[first + 1]);
    } else if (kind === "d") {
      need(first + second, children.length);
      children.splice(first, second).forEach((child) => painter.remove(child));
    } else if (kind === "m") {
      need(Math.max(first, second), children.length - 1);
      const [child] = children.splice(first, 1);
      children.splice(second, 0, child);
      painter.insert(record, child, children[second + 1]);
    } else need(1, 0);
  }
  return root;
}

/** Make *record* show *node*, keeping the elements of whatever is still there. */
export function reconcile(record, node, painter) {
  const [type, attrs, nodes = []] = node;
  if (record.type !== type || record.attrs.k !== attrs.k) return exchange(record, node, painter);
  const changes = {};
  for (const name in record.attrs) if (!(name in attrs)) changes[name] = null;
  for (const name in attrs) if (JSON.stringify(attrs[name]) !== JSON.stringify(record.attrs[name])) changes[name] = attrs[name];
  alter(record, changes, painter);
  const old = identities(record.children.map((child) => [child.type, child.attrs]));
  const staying = new Map(old.map((id, i) => [id, record.children[i]]));
  record.children = identities(nodes).map((id, i) => {
    const child = staying.get(id);
    staying.delete(id);
    return child ? reconcile(child, nodes[i], painter) : build(nodes[i], painter, record);
  });
  staying.forEach((child) => painter.remove(child));
  record.children.reduceRight((next, child) => {
    if (child.el.parentNode !== record.el || child.el.nextSibling !== (next?.el ?? null)) painter.insert(record, child, next);
    return child;
  }, null);
  return record;
}

function alter(record, changes, painter) {
  for (const name in changes) {
    if (changes[name] === null) delete record.attrs[name];
    else record.attrs[name] = changes[name];
  }
  painter.update(record, Object.keys(changes));
}

function exchange(record, node, painter) {
  const { parent } = record;
  const made = build(node, painter, parent);
  if (parent) parent.children[parent.children.indexOf(record)] = made;
  painter.replace(record, made);
  return made;
}

// as in the host's diff: type and key, or type and the how-manieth of it
function identities(nodes) {
  const counts = {};
  return nodes.map(([type, { k }]) => {
    if (k === undefined) counts[type] = (counts[type] ?? 0) + 1;
    return `${type} ${k === undefined ? counts[type] : `${typeof k} ${k}`}`;
  });
}
