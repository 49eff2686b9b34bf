package main

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// gatherer reads inputs of all kinds, one after the other, and keeps account of what it
// leaves out.
type gatherer struct {
	warn func(error)
	// noFatal leaves out findings that end the process or the machine.
	noFatal bool

	err   error // why it ended early
	left  []leftOut
	raw   map[string]*rawFiles // by place
	noted int                  // warnings about files that cannot be read
	more  int                  // that were not given any more
}

// leftOut are files in one place that are no inputs, for one reason.
type leftOut struct {
	place, reason string
	names         []string // some of them
	count         int
}

// rawFiles are files in one place that were taken as packets as they are.
type rawFiles struct {
	by    string
	first named
	count int
}

const (
	// maxLeftNames is how many names of files that are left out are given.
	maxLeftNames = 3
	// maxSkipWarnings is how many files that cannot be read are warned of.
	maxSkipWarnings = 20
)

// each yields the inputs of paths, in order of file name. What ends it early is in g.err.
func (g *gatherer) each(paths []string) iter.Seq[named] {
	return func(yield func(named) bool) {
		for _, path := range paths {
			places, err := findPlaces(path)
			if err != nil {
				g.err = err
				return
			}
			for i := range places {
				ok, err := g.place(&places[i], yield)
				if g.err = err; err != nil || !ok {
					return
				}
			}
		}
	}
}

// place yields the inputs of a place and reports whether more are wanted.
func (g *gatherer) place(p *place, yield func(named) bool) (more bool, err error) {
	switch {
	case p.dir:
		return g.files(p, yield)
	case g.noFatal && p.fatal():
		g.leave(filepath.Dir(filepath.Dir(p.path)), filepath.Base(filepath.Dir(p.path)), "ends the process or the machine")
		return true, nil
	}
	inputs, err := readInputFile(p.path, g.warn)
	if err != nil {
		return false, err
	}
	return g.hand(p, inputs, yield), nil
}

// files yields the inputs in the files of a directory.
func (g *gatherer) files(p *place, yield func(named) bool) (more bool, err error) {
	entries, err := os.ReadDir(p.path)
	if err != nil {
		return false, fmt.Errorf("reading inputs: %w", err)
	}
	p.by = cmp.Or(p.by, author(entries))
	for _, e := range entries {
		if reason := p.unfit(e); reason != "" {
			g.leave(p.path, e.Name(), reason)
			continue
		}
		inputs, err := readInputFile(filepath.Join(p.path, e.Name()), g.warn)
		if err != nil {
			g.skip(err)
			continue
		}
		if !g.hand(p, inputs, yield) {
			return false, nil
		}
	}
	return true, nil
}

// unfit says why a file is no input, "" if it may be one.
func (p *place) unfit(e os.DirEntry) string {
	switch {
	case e.IsDir() && p.by == byAFL && strings.HasPrefix(e.Name(), "."):
		return "what AFL keeps for itself"
	case e.IsDir():
		return "a directory within: name it to have it read"
	case p.by == byAFL && e.Name() == "README.txt":
		return "a note of AFL's"
	case strings.HasPrefix(e.Name(), "."):
		return "hidden"
	}
	return ""
}

func (g *gatherer) leave(place, name, reason string) {
	i := slices.IndexFunc(g.left, func(l leftOut) bool { return l.place == place && l.reason == reason })
	if i < 0 {
		i = len(g.left)
		g.left = append(g.left, leftOut{place: place, reason: reason})
	}
	l := &g.left[i]
	if l.count++; len(l.names) < maxLeftNames {
		l.names = append(l.names, name)
	}
}

func (g *gatherer) skip(err error) {
	if g.noted == maxSkipWarnings {
		g.more++
		return
	}
	g.noted++
	g.warn(fmt.Errorf("skipped: %w", err))
}

func (g *gatherer) hand(p *place, inputs []named, yield func(named) bool) bool {
	for _, one := range inputs {
		if one.raw {
			g.noteRaw(p, one)
		}
		if !yield(one) {
			return false
		}
	}
	return true
}

func (g *gatherer) noteRaw(p *place, one named) {
	if g.raw == nil {
		g.raw = map[string]*rawFiles{}
	}
	if g.raw[p.path] == nil {
		g.raw[p.path] = &rawFiles{by: p.by, first: one}
	}
	g.raw[p.path].count++
}

// say tells of files that were taken for packets as they are, which is what a mistyped
// name looks like as well, and of those that were left out.
func (g *gatherer) say(u *ui) {
	if g.more > 0 {
		u.warn("skipped: %s more that cannot be read", count(g.more, "file"))
	}
	for i := range g.left {
		l := &g.left[i]
		names := strings.Join(l.names, ", ")
		if l.count > len(l.names) {
			names += fmt.Sprintf(" and %d more", l.count-len(l.names))
		}
		u.say("note: left out of %s: %s (%s)", l.place, names, l.reason)
	}
	for _, path := range slices.Sorted(maps.Keys(g.raw)) {
		switch raw := g.raw[path]; {
		case raw.by != "" && raw.count == 1:
			u.say("note: 1 file in %s is taken as a raw packet, as %s leaves them", path, raw.by)
		case raw.by != "":
			u.say("note: %s in %s are taken as raw packets, as %s leaves them", count(raw.count, "file"), path, raw.by)
		case raw.count == 1:
			u.say("note: %s is neither a corpus file nor a capture: its %s are taken as a raw packet", raw.first.name, count(len(raw.first.in.Steps[0].Packet), "byte"))
		default:
			u.say("note: %s in %s are neither corpus files nor captures: each is taken as a raw packet", count(raw.count, "file"), path)
		}
	}
}
