package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// passedEdges are the edges that the corpus of a target passes in one build of its object,
// by names that are the same in another.
type passedEdges struct {
	Hash string `json:"hash"`
	// Edges have the source line of each, "" where the object has none.
	Edges map[string]string `json:"edges"`
}

const (
	passedFile = "edges.json"
	// maxPassed bounds the file in bytes: each edge takes a few hundred.
	maxPassed = 64 << 20
	// maxLost is how many lines that are not passed any more are named.
	maxLost = 5
)

// readPassed reads what an earlier turn wrote to a target's directory; what cannot be read
// counts as nothing.
func readPassed(dir string) *passedEdges {
	f, err := os.Open(filepath.Join(dir, passedFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	p := &passedEdges{}
	if json.NewDecoder(io.LimitReader(f, maxPassed)).Decode(p) != nil {
		return nil
	}
	return p
}

// edgesOf returns the edges that a result passes, and all that there are.
func edgesOf(table *cover.Table, result *fuzz.Result) (passed, all map[string]string) {
	seen := cover.NewSeen(table.Len())
	for _, e := range result.Entries {
		seen.Merge(e.Cover)
	}
	passed, all = map[string]string{}, map[string]string{}
	for i, hit := range table.Expand(nil, seen.Bytes()) {
		e := &table.Edges[i]
		name, at := strings.TrimSpace(triage.EdgeName(e)), ""
		if e.ToPos != (cover.Pos{}) {
			at = e.ToPos.String()
		}
		all[name] = at
		if hit {
			passed[name] = at
		}
	}
	return passed, all
}

// carry says what became of the edges that the build before passed, where this is the first
// turn of another one, and notes those of this build.
func (t *campaignTarget) carry(s *subject, hash string, result *fuzz.Result) error {
	if result == nil || len(result.Entries) == 0 {
		return nil
	}
	before := readPassed(t.dir)
	if before == nil && t.baseline != "" {
		before = readPassed(t.baseline)
	}
	passed, all := edgesOf(s.target.Table(), result)
	if before != nil && before.Hash != hash {
		t.u.announce("%s", carriedText(before.Edges, passed, all))
	}
	b, err := json.Marshal(passedEdges{hash, passed})
	if err != nil {
		return err
	}
	path := filepath.Join(t.dir, passedFile)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := writeWhole(path, b); err != nil {
		return fmt.Errorf("writing %s: %w", path, explainFull(err))
	}
	return nil
}

// carriedText says how many of the edges before are passed still, and which are not.
func carriedText(before, passed, all map[string]string) string {
	same, gone := 0, 0
	var lost []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		_, is := passed[name]
		at, there := all[name]
		switch {
		case is:
			same++
		case there:
			lost = append(lost, at)
		default:
			gone++
		}
	}
	text := fmt.Sprintf("of %s that the build before passed, %d are passed at the same source lines, %d are not passed, %d are gone", count(len(before), "edge"), same, len(lost), gone)
	slices.Sort(lost)
	if lost = slices.DeleteFunc(slices.Compact(lost), func(at string) bool { return at == "" }); len(lost) > 0 {
		text += "; not passed: " + strings.Join(lost[:min(len(lost), maxLost)], ", ")
		if len(lost) > maxLost {
			text += fmt.Sprintf(" and %d more", len(lost)-maxLost)
		}
	}
	return text
}
