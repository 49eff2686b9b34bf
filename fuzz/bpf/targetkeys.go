package bpf

import (
	"fmt"
	"math"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// keys lists what a target file may have at its top level.
func (t *TargetFile) keys(r *yamlReader) map[string]setter {
	return map[string]setter{
		"object": func(n ast.Node, at string) error {
			t.places["object"] = at
			return t.readPath(r, n, "object", &t.Object)
		},
		"program":    func(n ast.Node, _ string) (err error) { t.Program, err = r.String(n, "program"); return err },
		"variables":  func(n ast.Node, _ string) error { return t.readVariables(r, n) },
		"maps":       func(n ast.Node, _ string) error { return t.readMaps(r, n) },
		"fuzz_maps":  func(n ast.Node, _ string) error { return t.readFuzzMaps(r, n) },
		"tail_calls": func(n ast.Node, _ string) error { return t.readTailCalls(r, n) },
		"type":       func(n ast.Node, _ string) (err error) { t.Type, err = r.String(n, "type"); return err },
		"reuse":      func(n ast.Node, _ string) error { return t.readReuse(r, n) },
		"feedback":   func(n ast.Node, _ string) error { return t.readFeedback(r, n) },
		"seeds":      func(n ast.Node, _ string) error { return t.readSeeds(r, n) },
		"invariants": func(n ast.Node, _ string) error { return t.readInvariants(r, n) },
		"contexts":   func(n ast.Node, _ string) error { return t.readContexts(r, n) },
		"oracles":    func(n ast.Node, _ string) error { return t.readOracles(r, n) },
		"state":      func(n ast.Node, at string) error { return t.readState(r, n, at) },
		"real_helpers": func(n ast.Node, _ string) (err error) {
			t.RealHelpers, err = r.Flag(n, "real_helpers")
			return err
		},
		"faults": func(n ast.Node, _ string) (err error) { t.Faults, err = r.Flag(n, "faults"); return err },
		"max_insns": func(n ast.Node, _ string) (err error) {
			t.MaxInsns, err = r.Count(n, "max_insns", 1<<40)
			return err
		},
		"max_steps": func(n ast.Node, _ string) error {
			const most = 1024 // slots of a batch
			u, err := r.Count(n, "max_steps", most)
			t.MaxSteps = int(u)
			return err
		},
	}
}

func (t *TargetFile) readPath(r *yamlReader, n ast.Node, what string, to *string) error {
	path, err := r.String(n, what)
	if err == nil {
		*to = t.relative(path)
	}
	return err
}

func (t *TargetFile) readVariables(r *yamlReader, n ast.Node) error {
	t.Variables = map[string]any{}
	return r.Pairs(n, "variables", func(name string, n ast.Node, _ string) error {
		v, err := r.value(n, "variable "+name)
		t.Variables[name] = v
		return err
	})
}

func (t *TargetFile) readMaps(r *yamlReader, n ast.Node) error {
	t.Maps = MapContents{}
	return r.Pairs(n, "maps", func(name string, n ast.Node, _ string) error {
		what := "map " + name
		return r.List(n, what, func(_ int, n ast.Node) error {
			item := MapItem{At: r.At(n)}
			err := r.Object(n, what, map[string]setter{
				"key":   r.valueInto(&item.Key, what+" key"),
				"value": r.valueInto(&item.Value, what+" value"),
			})
			if err == nil && item.Value == nil {
				err = fail(item.At, what, "an item needs a value")
			}
			t.Maps[name] = append(t.Maps[name], item)
			return err
		})
	})
}

func (t *TargetFile) readFuzzMaps(r *yamlReader, n ast.Node) error {
	t.FuzzMaps = MapBounds{}
	return r.Pairs(n, "fuzz_maps", func(name string, n ast.Node, at string) error {
		what, b := "fuzz_maps."+name, MapBound{At: at}
		err := r.Object(n, what, map[string]setter{
			"entries": func(n ast.Node, at string) error {
				u, err := r.Count(n, what+".entries", maxFuzzEntries)
				if err == nil && u == 0 {
					return fail(at, what+".entries", "takes a number from 1 to %d; leave the map out instead", maxFuzzEntries)
				}
				b.Entries = int(u)
				return err
			},
			"key":   r.valueInto(&b.Key, what+".key"),
			"value": r.valueInto(&b.Value, what+".value"),
		})
		t.FuzzMaps[name] = b
		return err
	})
}

func (r *yamlReader) valueInto(to *any, what string) setter {
	return func(n ast.Node, _ string) error {
		v, err := r.value(n, what)
		*to = v
		return err
	}
}

func (t *TargetFile) readTailCalls(r *yamlReader, n ast.Node) error {
	t.TailCalls = map[string]map[uint32]string{}
	return r.Pairs(n, "tail_calls", func(name string, n ast.Node, at string) error {
		what := "tail_calls." + name
		t.places[what] = at
		calls := map[uint32]string{}
		t.TailCalls[name] = calls
		return r.Pairs(n, what, func(key string, n ast.Node, at string) error {
			index, err := strconv.ParseUint(key, 0, 32)
			if err != nil {
				return fail(at, what, "%q is no index from 0 to %d", key, uint32(math.MaxUint32))
			}
			if _, ok := calls[uint32(index)]; ok {
				return fail(at, what, "index %d is given twice", index)
			}
			calls[uint32(index)], err = r.String(n, what)
			return err
		})
	})
}

func (t *TargetFile) readSeeds(r *yamlReader, n ast.Node) error {
	return r.List(n, "seeds", func(i int, n ast.Node) error {
		t.Seeds = append(t.Seeds, "")
		t.places[seedPlace(i)] = r.At(n)
		return t.readPath(r, n, "seeds", &t.Seeds[i])
	})
}

func (t *TargetFile) readInvariants(r *yamlReader, n ast.Node) error {
	names := map[string]bool{}
	return r.List(n, "invariants", func(i int, n ast.Node) error {
		what := fmt.Sprintf("invariants[%d]", i)
		inv := Invariant{At: r.At(n)}
		err := r.Object(n, what, map[string]setter{
			"name": func(n ast.Node, _ string) (err error) { inv.Name, err = r.String(n, what+".name"); return err },
			"expr": func(n ast.Node, at string) (err error) {
				inv.At = at
				inv.Expr, err = r.String(n, what+".expr")
				return err
			},
			"every": func(n ast.Node, _ string) (err error) { inv.Every, err = r.Flag(n, what+".every"); return err },
		})
		switch {
		case err != nil:
			return err
		case inv.Name == "" || inv.Expr == "":
			return fail(inv.At, what, "needs a name and an expr")
		case names[inv.Name]:
			return fail(inv.At, what, "the name %q is given twice", inv.Name)
		}
		names[inv.Name] = true
		t.Invariants = append(t.Invariants, inv)
		return nil
	})
}

func (t *TargetFile) readContexts(r *yamlReader, n ast.Node) error {
	return r.List(n, "contexts", func(i int, n ast.Node) error {
		v, err := r.value(n, fmt.Sprintf("contexts[%d]", i))
		t.Contexts = append(t.Contexts, v)
		return err
	})
}

func (t *TargetFile) readOracles(r *yamlReader, n ast.Node) error {
	t.Oracles = map[string]bool{}
	return r.Pairs(n, "oracles", func(name string, n ast.Node, at string) (err error) {
		t.places["oracles."+name] = at
		t.Oracles[name], err = r.Flag(n, "oracles."+name)
		return err
	})
}

func (t *TargetFile) readReuse(r *yamlReader, n ast.Node) error {
	t.Reuse = map[string]MapRef{}
	return r.Pairs(n, "reuse", func(name string, n ast.Node, at string) error {
		text, err := r.String(n, "reuse."+name)
		if err != nil {
			return err
		}
		if err := MapRef(text).Check(); err != nil {
			return fail(at, "reuse."+name, "%w", err)
		}
		t.Reuse[name] = MapRef(text)
		return nil
	})
}

func (t *TargetFile) readFeedback(r *yamlReader, n ast.Node) error {
	return r.List(n, "feedback", func(_ int, n ast.Node) error {
		name, err := r.String(n, "feedback")
		t.Feedback = append(t.Feedback, name)
		return err
	})
}

func (t *TargetFile) readState(r *yamlReader, n ast.Node, at string) (err error) {
	if t.State, err = r.String(n, "state"); err == nil && t.State != stateReset && t.State != stateKeep {
		return fail(at, "state", "takes %s or %s", stateReset, stateKeep)
	}
	return err
}
