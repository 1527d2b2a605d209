#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles schema/*.idl into C tables: compile.py IDS.h TABLES.c SERVED_VERSION IDL...

The input's form is described at the head of vim25.idl. See src/vim/schema.h for what comes out.
"""
import re
import sys

PRIMITIVES = [  # wire name, kind, name of the array type after "ArrayOf"
    ('boolean', 'KIND_BOOL', 'Boolean'), ('byte', 'KIND_BYTE', 'Byte'),
    ('short', 'KIND_SHORT', 'Short'), ('int', 'KIND_INT', 'Int'), ('long', 'KIND_LONG', 'Long'),
    ('float', 'KIND_FLOAT', 'Float'), ('double', 'KIND_DOUBLE', 'Double'),
    ('dateTime', 'KIND_DATETIME', 'DateTime'), ('string', 'KIND_STRING', 'String'),
    ('base64Binary', 'KIND_BINARY', 'Base64Binary'), ('anyType', 'KIND_ANY', 'AnyType'),
    ('ManagedObjectReference', 'KIND_REF', 'ManagedObjectReference')]


class Field:
    def __init__(self, name, type_name, is_ref, optional, array, since):
        self.name, self.type_name, self.is_ref = name, type_name, is_ref
        self.optional, self.array, self.since = optional, array, since


class Type:
    def __init__(self, name, kind, base, since):
        self.name, self.kind, self.base, self.since = name, kind, base, since
        self.fields, self.values, self.methods, self.children = [], [], [], []
        self.id = self.last = 0


class Method:
    def __init__(self, name, privilege, since):
        self.name, self.privilege, self.since = name, privilege, since
        self.args, self.faults, self.result = [], [], None


def split_since(words):
    if words and re.fullmatch(r'@\d\S*', words[-1]):
        return words[:-1], words[-1][1:]
    return words, '2.0'


def parse_field(line):
    words, since = split_since(line.split())
    name = words[0]
    mark = name[-1] if name[-1] in '?*+' else ''
    name = name.rstrip('?*+')
    is_ref = words[1] == 'ref'
    type_name = words[2] if is_ref else words[1]
    array = mark in ('*', '+')
    if type_name.endswith('[]'):
        type_name, array = type_name[:-2], True
    return Field(name, type_name, is_ref, mark in ('?', '*'), array, since)


def parse_head(line):
    words, since = split_since(line.split())
    base = words[3] if len(words) > 3 and words[2] == ':' else None
    return words[0], words[1], base, since


def parse(paths):
    types, current, method = {}, None, None
    for path in paths:
        for number, raw in enumerate(open(path, encoding='utf-8'), 1):
            line = raw.rstrip()
            if not line or line.startswith('#'):
                continue
            indent = len(line) - len(line.lstrip())
            text = line.strip()
            if indent == 0:
                kind, name, base, since = parse_head(text)
                if kind not in ('enum', 'data', 'managed'):
                    raise SystemExit(f'{path}:{number}: unknown declaration "{kind}"')
                current = types.setdefault(name, Type(name, kind, base, since))
                method = None
            elif current.kind == 'enum':
                current.values += text.split()
            elif current.kind == 'data':
                current.fields.append(parse_field(text))
            else:
                method = parse_managed_line(current, method, text, indent)
    return types


def parse_managed_line(current, method, text, indent):
    if indent == 2 and text.startswith('prop '):
        current.fields.append(parse_field(text[5:]))
        return None
    if indent == 2 and text.startswith('method '):
        words, since = split_since(text.split())
        privilege = words[2][1:-1] if len(words) > 2 else ''
        method = Method(words[1], '' if privilege == '-' else privilege, since)
        current.methods.append(method)
    elif text.startswith('returns ') or re.match(r'returns[?*+] ', text):
        method.result = parse_field(text)
    elif text.startswith('faults '):
        method.faults = text.split()[1:]
    else:
        method.args.append(parse_field(text))
    return method


def version_key(text):
    parts = re.findall(r'\d+|[a-z]+', text.replace('.', ' '))
    return [(0, int(p)) if p.isdigit() else (1, int.from_bytes(p.encode(), 'big')) for p in parts]


def identifier(text):
    return re.sub(r'[^A-Za-z0-9]', '_', text)


class Tables:
    def __init__(self, types, served):
        self.types, self.strings, self.offsets = types, bytearray(b'\0'), {'': 0}
        self.order, self.by_name = [], {}
        self.versions = sorted({t.since for t in types.values()} |
                               {f.since for t in types.values() for f in t.fields} |
                               {m.since for t in types.values() for m in t.methods} |
                               {'2.0', served}, key=version_key)
        self.version_index = {v: i for i, v in enumerate(self.versions)}
        self.served = self.version_index[served]
        self.number()

    def string(self, text):
        if text not in self.offsets:
            self.offsets[text] = len(self.strings)
            self.strings += text.encode() + b'\0'
        return self.offsets[text]

    def add(self, item):
        item.id = len(self.order)
        self.order.append(item)
        self.by_name[item.name] = item

    def number(self):
        self.add(Type('none', 'KIND_NONE', None, '2.0'))
        for name, kind, _ in PRIMITIVES:
            self.add(Type(name, kind, None, '2.0'))
        listed = {p[0] for p in PRIMITIVES}
        self.types.setdefault('ManagedObject', Type('ManagedObject', 'managed', None, '2.0'))
        declared = [t for t in self.types.values() if t.name not in listed]
        for t in declared:
            if t.base:
                self.types[t.base].children.append(t)
        for kind in ('enum', 'data', 'managed'):
            roots = [t for t in declared if t.kind == kind and not t.base]
            if kind == 'managed':  # one root, so that "ManagedObject" means any
                roots = self.managed_roots(roots)
            for root in sorted(roots, key=lambda t: t.name):
                self.number_tree(root)
        self.methods = []
        for t in [t for t in self.order if t.kind == 'managed']:
            for m in t.methods:
                args = Type(f'{t.name}.{m.name}', 'args', None, m.since)
                args.fields, m.managed, m.args_type = m.args, t, args
                self.add(args)
                args.last = args.id
                self.methods.append(m)

    def managed_roots(self, roots):
        top = self.types['ManagedObject']
        for t in roots:
            if t is not top:
                t.base = top.name
                top.children.append(t)
        return [top]

    def number_tree(self, t):
        self.add(t)
        for child in sorted(t.children, key=lambda c: c.name):
            self.number_tree(child)
        t.last = len(self.order) - 1

    def all_fields(self, t):
        inherited = self.all_fields(self.by_name[t.base]) if t.base else []
        return inherited + t.fields

    def kind_of(self, f):
        t = self.by_name[f.type_name]
        if f.is_ref:
            return 'KIND_REF'
        if t.kind.startswith('KIND_'):
            return t.kind
        return {'enum': 'KIND_ENUM', 'data': 'KIND_STRUCT', 'managed': 'KIND_REF'}[t.kind]

    def field_row(self, f):
        target = f.type_name
        if target not in self.by_name:
            raise SystemExit(f'unknown type "{target}" of field "{f.name}"')
        kind, t = self.kind_of(f), self.by_name[target]
        flags = (1 if f.optional else 0) | (2 if f.array else 0)
        if kind == 'KIND_ANY' or (kind == 'KIND_STRUCT' and t.last != t.id):
            flags |= 4
        return (f'{{{self.string(f.name)}, {t.id}, {kind}, {flags}, '
                f'{self.version_index[f.since]}, {len(f.name)}}}')


def fnv(data):
    h = 2166136261
    for b in data.encode():
        h = ((h ^ b) * 16777619) & 0xffffffff
    return h


def hash_table(names):
    size = 1
    while size < 2 * len(names):
        size *= 2
    table = [0] * size
    for name, number in names:
        i = fnv(name) & (size - 1)
        while table[i]:
            i = (i + 1) & (size - 1)
        table[i] = number
    return table


def rows(out, declaration, items, per_line=1):
    out.append(f'{declaration} = {{')
    for i in range(0, len(items), per_line):
        out.append('\t' + ', '.join(items[i:i + per_line]) + ',')
    out.append('};')


def write_ids(tables, path):
    out = ['/* Made by schema/compile.py. Ids of types (T_), fields (F_), properties (P_), values (E_),'
           ' methods (M_), arguments (A_). */', '#ifndef VIM_SCHEMA_IDS_H', '#define VIM_SCHEMA_IDS_H', '']
    out.append('enum schema_type_id {')
    for t in tables.order:
        if t.kind != 'args':
            out.append(f'\tT_{identifier(t.name)} = {t.id},')
    out += [f'\tT__count = {len(tables.order)},', '};', '', 'enum schema_method_id {', '\tM_none = 0,']
    for i, m in enumerate(tables.methods, 1):
        out.append(f'\tM_{m.managed.name}_{identifier(m.name)} = {i},')
    out += [f'\tM__count = {len(tables.methods) + 1},', '};', '', 'enum schema_index {']
    for t in tables.order:
        if t.kind == 'args':
            prefix = 'A_' + identifier(t.name)
        else:
            prefix = ('P_' if t.kind == 'managed' else 'F_') + t.name
        start = len(tables.all_fields(t)) - len(t.fields)
        for i, f in enumerate(t.fields):
            out.append(f'\t{prefix}_{identifier(f.name)} = {start + i},')
        for i, v in enumerate(t.values):
            out.append(f'\tE_{t.name}_{identifier(v)} = {i},')
    out += ['};', '', '#endif', '']
    open(path, 'w', encoding='utf-8').write('\n'.join(out))


def type_rows(tables, fields, enum_names):
    result = []
    for t in tables.order:
        if t.kind == 'enum':
            first, n = len(enum_names), len(t.values)
            enum_names += [str(tables.string(v)) for v in t.values]
        else:
            everything = tables.all_fields(t)
            first, n = len(fields), len(everything)
            fields += [tables.field_row(f) for f in everything]
        kind = {'enum': 'KIND_ENUM', 'data': 'KIND_STRUCT', 'managed': 'KIND_MANAGED',
                'args': 'KIND_STRUCT'}.get(t.kind, t.kind)
        base = tables.by_name[t.base].id if t.base else 0
        result.append(f'{{{tables.string(t.name)}, {first}, {n}, {base}, {max(t.last, t.id)}, {kind}, '
                      f'{tables.version_index[t.since]}, {len(t.name)}}}')
    return result


def method_rows(tables, faults):
    result, last_of = [], {}
    following = {}
    for i, m in enumerate(tables.methods, 1):
        if m.name in last_of:
            following[last_of[m.name]] = i
        last_of[m.name] = i
    for i, m in enumerate(tables.methods, 1):
        first = len(faults)
        faults += [str(tables.by_name[f].id) for f in m.faults]
        res = tables.field_row(m.result) if m.result else '{0, 0, KIND_NONE, 0, 0, 0}'
        result.append(f'{{{tables.string(m.name)}, {tables.string(m.privilege)}, {first}, '
                      f'{len(m.faults)}, {m.managed.id}, {m.args_type.id}, {following.get(i, 0)}, '
                      f'{res}, {tables.version_index[m.since]}}}')
    return result


def string_rows(data):
    result = []
    for i in range(0, len(data), 32):
        result.append(', '.join(str(b) for b in data[i:i + 32]))
    return result


def write_tables(tables, path):
    fields, enum_names, faults = [], [], []
    types = type_rows(tables, fields, enum_names)
    methods = ['{0, 0, 0, 0, 0, 0, 0, {0, 0, KIND_NONE, 0, 0, 0}, 0}'] + method_rows(tables, faults)
    versions = [str(tables.string(v)) for v in tables.versions]
    array_names = {p[0]: p[2] for p in PRIMITIVES}
    arrays = [str(tables.string(array_names.get(t.name, t.name))) for t in tables.order]
    named = [t for t in tables.order if t.kind not in ('args', 'KIND_NONE')]
    by_name = hash_table([(t.name, t.id) for t in named])
    by_array = hash_table([(array_names.get(t.name, t.name), t.id) for t in named])
    first_method = {}
    for i, m in enumerate(tables.methods, 1):
        first_method.setdefault(m.name, i)
    by_method = hash_table(list(first_method.items()))
    out = ['/* Made by schema/compile.py. */', '#include "vim/schema.h"', '#include "vim/schema_tables.h"', '']
    rows(out, 'const struct schema_type schema_types[]', types)
    rows(out, 'const struct schema_field schema_fields[]', fields)
    rows(out, 'const struct schema_method schema_methods[]', methods)
    rows(out, 'const uint32_t schema_enum_names[]', enum_names, 12)
    rows(out, 'const uint16_t schema_faults[]', faults, 12)
    rows(out, 'const uint32_t schema_version_names[]', versions, 12)
    rows(out, 'const uint32_t schema_array_names[]', arrays, 12)
    rows(out, 'const uint16_t schema_type_hash[]', [str(x) for x in by_name], 16)
    rows(out, 'const uint16_t schema_array_hash[]', [str(x) for x in by_array], 16)
    rows(out, 'const uint16_t schema_method_hash[]', [str(x) for x in by_method], 16)
    rows(out, 'const char schema_strings[]', string_rows(tables.strings))
    out += [f'const uint32_t schema_type_hash_mask = {len(by_name) - 1};',
            f'const uint32_t schema_array_hash_mask = {len(by_array) - 1};',
            f'const uint32_t schema_method_hash_mask = {len(by_method) - 1};',
            f'const uint8_t schema_n_versions = {len(versions)};',
            f'const uint8_t schema_version_served = {tables.served};', '']
    open(path, 'w', encoding='utf-8').write('\n'.join(out))


def main():
    ids, tables_path, served = sys.argv[1:4]
    tables = Tables(parse(sys.argv[4:]), served)
    write_ids(tables, ids)
    write_tables(tables, tables_path)


if __name__ == '__main__':
    main()
