package campaign

import (
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// fileReader reads the values of a campaign file.
type fileReader struct{ strict.Reader }

// setter is short for what reads the value of a key.
type setter = func(n ast.Node, at string) error

// The bounds of numbers in a campaign file.
const (
	maxWorkers = 1024
	maxWeight  = 1000
)

// keys lists what a campaign file may have at its top level.
func (f *File) keys(r *fileReader) map[string]strict.Setter {
	return map[string]strict.Setter{
		"output":   r.path(f, "output", &f.Output),
		"duration": r.duration("duration", &f.Duration),
		"turn":     r.duration("turn", &f.Turn),
		"workers":  r.number("workers", maxWorkers, &f.Workers),
		"seed": func(n ast.Node, _ string) (err error) {
			f.Seed, err = r.Count(n, "seed", 1<<64-1)
			return err
		},
		"mode": func(n ast.Node, at string) error {
			text, err := r.String(n, "mode")
			if err != nil {
				return err
			}
			if f.Mode, err = ParseMode(text); err != nil {
				return strict.Fail(at, "mode", "%w", err)
			}
			return nil
		},
		"retention": func(n ast.Node, _ string) error { return r.Object(n, "retention", f.Retention.keys(r)) },
		"webhooks": func(n ast.Node, _ string) error {
			return r.List(n, "webhooks", func(_ int, n ast.Node) error { return f.readWebhook(r, n) })
		},
		"targets": func(n ast.Node, _ string) error {
			return r.List(n, "targets", func(_ int, n ast.Node) error { return f.readItem(r, n) })
		},
	}
}

func (l *Retention) keys(r *fileReader) map[string]strict.Setter {
	return map[string]strict.Setter{
		"corpus":      r.size("retention.corpus", &l.Bytes),
		"entries":     r.number("retention.entries", 1<<30, &l.Entries),
		"unconfirmed": r.duration("retention.unconfirmed", &l.Unconfirmed),
		"plot":        r.size("retention.plot", &l.Plot),
	}
}

func (f *File) readItem(r *fileReader, n ast.Node) error {
	item := Item{At: r.At(n)}
	if err := r.Object(n, "target", item.keys(f, r)); err != nil {
		return err
	}
	switch {
	case item.Object == "" && item.Config == "" && (item.inline == nil || item.inline.get("object") == nil):
		return strict.Fail(item.At, "target", "has no object: name one with object, or a target file that has one with config")
	case len(item.Programs) > 1 || item.All:
	case item.Name == "" && item.Object == "" && item.inline != nil:
		return strict.Fail(item.At, "target", "has no name: give it one")
	}
	f.Items = append(f.Items, item)
	return nil
}

func (i *Item) keys(f *File, r *fileReader) map[string]strict.Setter {
	return map[string]strict.Setter{
		"name": r.name("target.name", &i.Name),
		"object": func(n ast.Node, at string) error {
			i.ObjectAt = at
			return r.path(f, "target.object", &i.Object)(n, at)
		},
		"program": func(n ast.Node, _ string) error {
			name, err := r.String(n, "target.program")
			i.Programs = []string{name}
			return err
		},
		"programs": func(n ast.Node, _ string) error { return i.readPrograms(r, n) },
		"config":   func(n ast.Node, at string) error { return i.readConfig(f, r, n, at) },
		"weight":   r.weight("target.weight", &i.Weight),
		"workers":  r.number("target.workers", maxWorkers, &i.Workers),
		"seeds": func(n ast.Node, _ string) error {
			return r.List(n, "target.seeds", func(_ int, n ast.Node) error {
				i.Seeds = append(i.Seeds, "")
				return r.path(f, "target.seeds", &i.Seeds[len(i.Seeds)-1])(n, "")
			})
		},
		"variants": func(n ast.Node, _ string) error {
			return r.List(n, "target.variants", func(_ int, n ast.Node) error { return i.readVariant(f, r, n) })
		},
	}
}

// readPrograms reads a list of names, or the word all.
func (i *Item) readPrograms(r *fileReader, n ast.Node) error {
	if text, ok := strict.Text(n); ok {
		if i.All = text == "all"; !i.All {
			return strict.Fail(r.At(n), "target.programs", "takes a list of names, or all")
		}
		return nil
	}
	return r.List(n, "target.programs", func(_ int, n ast.Node) error {
		name, err := r.String(n, "target.programs")
		i.Programs = append(i.Programs, name)
		return err
	})
}

// readConfig reads the path of a target file, or what it would have.
func (i *Item) readConfig(f *File, r *fileReader, n ast.Node, at string) error {
	i.ConfigAt = at
	if _, ok := strict.Text(n); ok {
		return r.path(f, "target.config", &i.Config)(n, at)
	}
	t, err := newTree(&r.Reader, n, "target.config")
	if err != nil {
		return err
	}
	if t.kind != isNames {
		return strict.Fail(at, "target.config", "takes the path of a target file, or what it would have")
	}
	t.resolve(f.Path)
	i.inline = &t
	return nil
}

func (i *Item) readVariant(f *File, r *fileReader, n ast.Node) error {
	t, err := newTree(&r.Reader, n, "target.variants")
	if err != nil {
		return err
	}
	v := Variant{At: t.at}
	if name := t.get("name"); t.kind == isNames && name != nil && name.kind == isText {
		v.Name = name.text
	}
	if !fileName(v.Name) {
		return strict.Fail(t.at, "target.variants", "a variant needs a name of letters, digits and -_.")
	}
	for _, one := range t.names {
		switch one.name {
		case "name":
		case "object", "program":
			return strict.Fail(one.at, "target.variants", "%s is the same for all variants: write it to the target", one.name)
		default:
			v.more.set(one.name, one.value)
		}
	}
	v.more.kind = isNames
	v.more.resolve(f.Path)
	for _, other := range i.Variants {
		if other.Name == v.Name {
			return strict.Fail(v.At, "target.variants", "the name %q is given twice", v.Name)
		}
	}
	i.Variants = append(i.Variants, v)
	return nil
}

func (r *fileReader) path(f *File, what string, to *string) setter {
	return func(n ast.Node, _ string) error {
		text, err := r.String(n, what)
		if err == nil {
			*to = f.relative(text)
		}
		return err
	}
}

func (r *fileReader) name(what string, to *string) setter {
	return func(n ast.Node, at string) error {
		text, err := r.String(n, what)
		if err == nil && !fileName(text) {
			return strict.Fail(at, what, "%q: use letters, digits and -_. only, as it names a directory", text)
		}
		*to = text
		return err
	}
}

func (r *fileReader) number(what string, most uint64, to *int) setter {
	return func(n ast.Node, at string) error {
		u, err := r.Count(n, what, most)
		if err == nil && u == 0 {
			return strict.Fail(at, what, "takes a number from 1 to %d; leave it out instead", most)
		}
		*to = int(u)
		return err
	}
}

func (r *fileReader) duration(what string, to *time.Duration) setter {
	return func(n ast.Node, at string) error {
		text, err := r.String(n, what)
		if err != nil {
			return err
		}
		if *to, err = time.ParseDuration(text); err != nil || *to < time.Second {
			return strict.Fail(at, what, "takes a time of a second or more, such as 90s, 30m or 8h, not %q", text)
		}
		return nil
	}
}

func (r *fileReader) weight(what string, to *float64) setter {
	return func(n ast.Node, at string) error {
		text, _ := strict.Text(n)
		w, err := strconv.ParseFloat(text, 64)
		if err != nil || !(w > 0 && w <= maxWeight) {
			return strict.Fail(at, what, "takes a number above 0, at most %d", maxWeight)
		}
		*to = w
		return nil
	}
}

// sizes are the units of bytes, the longer names first.
var sizes = []struct {
	unit string
	of   int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1}}

func (r *fileReader) size(what string, to *int64) setter {
	return func(n ast.Node, at string) error {
		text, _ := strict.Text(n)
		for _, s := range sizes {
			number, ok := strings.CutSuffix(text, s.unit)
			if !ok {
				continue
			}
			v, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err == nil && v > 0 && v <= (1<<62)/s.of {
				*to = v * s.of
				return nil
			}
			break
		}
		return strict.Fail(at, what, "takes bytes, such as 500MiB or 2GiB, not %q", text)
	}
}

// fileName reports whether a name can be that of a file anywhere.
func fileName(name string) bool {
	return len(name) > 0 && len(name) <= 128 && name[0] != '.' && name[0] != '-' &&
		!strings.ContainsFunc(name, func(r rune) bool { return !safe(r) })
}

func safe(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
}
