package campaign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// Target is one program, set up in one way.
type Target struct {
	// Name is unique in the campaign and names the target's directory.
	Name string
	// At is "file:line" of the item it comes from.
	At string
	// Object is the path of its object, "" where the target file has it.
	Object string
	// Program is "" for the target file's, or the only one.
	Program string
	// Config is the path of its target file, "" where there is none.
	Config string
	// Setup is the text of a target file that has to be written for the target, "" where
	// Config says everything; SetupAt has for each line of it the place it comes from.
	Setup   string
	SetupAt []string
	// Seeds, Weight and Workers are the item's; the weight is never 0.
	Seeds   []string
	Weight  float64
	Workers int
	// Problem says why it was not found out which programs there are; nil if it was.
	Problem error
}

// Explain puts the place in the campaign file in front of an error about path, to which
// Setup was written.
func (t *Target) Explain(path string, err error) error {
	rest, ok := strings.CutPrefix(err.Error(), path+":")
	if !ok || t.Setup == "" {
		return err
	}
	number, rest, _ := strings.Cut(rest, ":")
	line, bad := strconv.Atoi(number)
	if bad != nil || line < 1 || line > len(t.SetupAt) {
		return err
	}
	return fmt.Errorf("%s:%s", t.SetupAt[line-1], rest)
}

// maxTargets bounds a campaign.
const maxTargets = 10_000

// Plan returns the targets of a campaign in the order of its file: objects x programs x
// variants. Programs lists those of an object that can be fuzzed. An object that cannot be
// read makes a target with a Problem: it may be there later.
func (f *File) Plan(programs func(object string) ([]string, error)) ([]Target, error) {
	var all []Target
	for i := range f.Items {
		some, err := f.Items[i].plan(programs)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > maxTargets {
			return nil, fmt.Errorf("%s: more than %d targets in a campaign; split it", f.Items[i].At, maxTargets)
		}
	}
	places := map[string]string{}
	for i := range all {
		t := &all[i]
		if at, twice := places[t.Name]; twice {
			return nil, fmt.Errorf("%s: target: the name %q is that of the target at %s as well: give one of them another name", t.At, t.Name, at)
		}
		places[t.Name] = t.At
	}
	return all, nil
}

func (i *Item) plan(programs func(string) ([]string, error)) ([]Target, error) {
	base, err := i.base()
	if err != nil {
		return nil, err
	}
	objects, err := i.objects()
	if err != nil {
		return nil, err
	}
	var all []Target
	for _, object := range objects {
		t := Target{At: i.At, Object: object, Config: i.Config, Seeds: i.Seeds, Weight: i.Weight, Workers: i.Workers}
		if t.Weight == 0 {
			t.Weight = 1
		}
		of := object
		if of == "" {
			of = base.objectPath()
		}
		t.Name = i.Name
		if t.Name == "" {
			t.Name = stem(of)
		} else if len(objects) > 1 {
			t.Name += "-" + stem(of)
		}
		all = append(all, i.eachProgram(t, of, programs)...)
	}
	return i.eachVariant(all, base), nil
}

// objects returns the paths that the item's pattern matches, in order; one that is "" where
// the target file names the object.
func (i *Item) objects() ([]string, error) {
	if !strings.ContainsAny(i.Object, "*?[") {
		return []string{i.Object}, nil
	}
	paths, err := filepath.Glob(i.Object)
	if err != nil {
		return nil, strict.Fail(i.ObjectAt, "target.object", "%q is no pattern: %w", i.Object, err)
	}
	if len(paths) == 0 {
		return nil, strict.Fail(i.ObjectAt, "target.object", "no file matches %s", i.Object)
	}
	return paths, nil
}

// eachProgram returns a target for each program of the item.
func (i *Item) eachProgram(t Target, object string, programs func(string) ([]string, error)) []Target {
	names := i.Programs
	if i.All {
		if names, t.Problem = programs(object); t.Problem == nil && len(names) == 0 {
			t.Problem = fmt.Errorf("%s has no program that can be fuzzed", object)
		}
	}
	if len(names) == 0 {
		return []Target{t}
	}
	var all []Target
	for _, name := range names {
		one := t
		one.Program = name
		if len(names) > 1 || i.All {
			one.Name += "-" + cleaned(name)
		}
		all = append(all, one)
	}
	return all
}

// eachVariant returns each target in each variant.
func (i *Item) eachVariant(targets []Target, base tree) []Target {
	if len(i.Variants) == 0 {
		for j := range targets {
			if i.inline != nil {
				targets[j].setUp(base)
			}
		}
		return targets
	}
	var all []Target
	for _, t := range targets {
		for _, v := range i.Variants {
			one := t
			one.Name += "-" + v.Name
			one.setUp(base.over(v.more, 2))
			all = append(all, one)
		}
	}
	return all
}

// setUp has the target set up as a target file with all of that would do it.
func (t *Target) setUp(all tree) {
	all.names = slices.Clone(all.names)
	if t.Object != "" {
		all.set("object", tree{at: t.At, text: absolute(t.Object)})
	}
	if t.Program != "" {
		all.set("program", tree{at: t.At, text: t.Program})
	}
	var w written
	w.line(0, "# Written by bpffuzz campaign, from "+t.At+".", t.At)
	w.write(&all, 0)
	t.Setup, t.SetupAt = w.text(), w.places
	t.Object, t.Program, t.Config = "", "", ""
}

// base returns what all variants of the item have in common: the target file, or what the
// item has in its place.
func (i *Item) base() (tree, error) {
	if i.inline != nil {
		return *i.inline, nil
	}
	empty := tree{at: i.At, kind: isNames}
	if i.Config == "" {
		return empty, nil
	}
	info, err := os.Stat(i.Config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return empty, strict.Fail(i.ConfigAt, "target.config", "there is no file %s", i.Config)
	case err == nil && info.Size() > maxFile:
		return empty, strict.Fail(i.ConfigAt, "target.config", "%s is larger than %d MiB", i.Config, maxFile>>20)
	}
	text, err := os.ReadFile(i.Config)
	if err != nil {
		return empty, strict.Fail(i.ConfigAt, "target.config", "%w", err)
	}
	root, err := strict.Parse(i.Config, text)
	if err != nil || root == nil {
		return empty, err
	}
	t, err := newTree(&strict.Reader{File: i.Config}, root, "")
	if err == nil && t.kind != isNames {
		err = fmt.Errorf("%s: is no target file: it takes names and values", t.at)
	}
	t.resolve(i.Config)
	return t, err
}

// resolve makes the paths of a target file's tree absolute, as it is to be written to a
// file elsewhere.
func (t *tree) resolve(file string) {
	if object := t.get("object"); object != nil && object.kind == isText {
		object.text = absolute(relativeTo(file, object.text))
	}
	if seeds := t.get("seeds"); seeds != nil {
		for j := range seeds.list {
			if seeds.list[j].kind == isText {
				seeds.list[j].text = absolute(relativeTo(file, seeds.list[j].text))
			}
		}
	}
}

func (t *tree) objectPath() string {
	if object := t.get("object"); object != nil {
		return object.text
	}
	return ""
}

// absolute returns path as it is where the working directory is not known.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// stem is an object's name without what tells its kind.
func stem(object string) string {
	return cleaned(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(object), ".o"), ".bpf"))
}

// cleaned makes a file name of a foreign name.
func cleaned(name string) string {
	name = strings.TrimLeft(strings.Map(func(r rune) rune {
		if safe(r) {
			return r
		}
		return '_'
	}, name), ".-")
	if name == "" {
		return "target"
	}
	return name[:min(len(name), 64)]
}
