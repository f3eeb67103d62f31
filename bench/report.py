"""The results as tables in Markdown."""

import statistics

# (result, quantity, what the row is called)
ROWS = [
    ("version", "wall", "`--version`"),
    ("run {}", "wall", "**run /bin/true**"),
    ("run {}", "cpu", "processor time of run"),
    ("cycle {}", "create", "create"),
    ("cycle {}", "start", "start"),
    ("cycle {}", "wait", "until the program has ended"),
    ("cycle {}", "delete", "delete"),
    ("cycle {}", "all", "**create, start, wait, delete**"),
    ("exec {}", "wall", "**exec /bin/true**"),
    ("first exec {}", "wall", "exec, the first one in a container"),
    ("state {}", "wall", "state"),
    ("kill {}", "wall", "kill"),
    ("together {}", "wall", "16 runs at once, until the last has ended"),
    ("list {}", "wall", "list, {} alive"),
    ("run {}", "rss", "peak memory of run, KiB"),
    ("run {}", "switches", "context switches of run"),
    ("system calls {}", "calls", "system calls of run"),
]
FILTER_ROWS = [("allowed", "allowed"), ("denied", "denied"), ("checked", "with a checked argument")]


def quantile(numbers, part):
    return sorted(numbers)[min(len(numbers) - 1, int(part * len(numbers)))]


def cell(numbers, own):
    """Median, from the tenth to the ninetieth percentile, and how many times Corten's median."""
    if not numbers:
        return ""
    median = statistics.median(numbers)
    text = f"{median:.0f}"
    low, high = quantile(numbers, 0.1), quantile(numbers, 0.9)
    if high > low:
        text += f" [{low:.0f}..{high:.0f}]"
    if own and own is not numbers:
        text += f" ({median / statistics.median(own):.2f})"
    return text


def rows(results, kind, counts):
    """(label, {runtime: numbers}) in the order of the table."""
    for title, quantity, label in ROWS:
        for part in counts if title == "list {}" else [kind]:
            if found := results.get(title.format(part)):
                yield label.format(part), {runtime: quantities.get(quantity, []) for runtime, quantities in found.items()}


def table(head, lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def comparison(results, kind, counts, names):
    lines = []
    for label, numbers in rows(results, kind, counts):
        own = numbers.get(names[0])
        lines.append([label, *(cell(numbers.get(name), own) for name in names)])
    return table([f"{kind}; microseconds", *names], lines)


def markdown(results, kinds, counts, names):
    tables = [comparison(results, kind, counts if kind == kinds[0] else [], names) for kind in kinds]
    tables += [make(results[title]) for title, make in (("filter", filter_table), ("parts", parts_table)) if title in results]
    return "\n\n".join(tables)


def filter_table(found):
    lines = []
    for quantity, label in FILTER_ROWS:
        lines.append([label, *(cell(numbers.get(quantity), None) for numbers in found.values())])
    return table(["nanoseconds of one system call in a container", *found], lines)


def parts_table(found):
    units = list(dict.fromkeys(unit for numbers in found.values() for unit in numbers))
    lines = [[part, *(f"{numbers[unit][0]:.0f}" if unit in numbers else "" for unit in units)] for part, numbers in found.items()]
    return table(["", *units], lines)
