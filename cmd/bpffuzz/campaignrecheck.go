package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/triage/report"
)

// checkedAgain are findings that ran again, by key.
type checkedAgain map[string]*report.Status

// checkRepeat is how often a finding runs again.
const checkRepeat = 10

// recheck runs the target's findings again where that is asked for, or where the object is
// another one than before.
func (t *campaignTarget) recheck(ctx context.Context, f *runFlags, asked, another bool) error {
	if !asked && !another {
		return nil
	}
	if another {
		t.u.announce("%s was built again: the corpus is kept, and findings run again", f.path())
	}
	var all []*report.Status
	for _, dir := range t.findingsDirs(asked) {
		some, err := t.checkDir(ctx, f, dir)
		if err != nil {
			return err
		}
		for _, s := range some {
			if !t.has(all, s.Key) {
				all = append(all, s)
			}
		}
	}
	if len(all) > 0 {
		t.checked = checkedAgain{}
		for _, s := range all {
			t.checked[s.Key] = s
		}
		t.u.announce("%s", checkedText(all))
	}
	return nil
}

func (t *campaignTarget) has(all []*report.Status, key string) bool {
	for _, s := range all {
		if s.Key == key {
			return true
		}
	}
	return false
}

// another reports whether the object is another build than at the turn before, in this
// process or an earlier one, and returns its hash.
func (t *campaignTarget) another(f *runFlags) (bool, string, error) {
	before, err := readOwner(filepath.Join(t.dir, ownerFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, "", err
	}
	last := cmp.Or(t.hash, before.Hash)
	now, err := f.ownerOf(f.path(), before.Program, before.Type)
	if err != nil {
		return false, t.hash, nil // loading it says why it cannot be read
	}
	return last != "" && now.Hash != last, now.Hash, nil
}

// findingsDirs are those with findings to run again: the target's, and where what is saved
// is asked for the baseline's.
func (t *campaignTarget) findingsDirs(asked bool) (all []*findingsDir) {
	for _, root := range []string{t.dir, t.baseline} {
		if root == "" || root == t.baseline && !asked {
			continue
		}
		if dir := filepath.Join(root, "findings"); exists(dir) {
			all = append(all, &findingsDir{root: root, dir: dir})
		}
	}
	return all
}

func (t *campaignTarget) checkDir(ctx context.Context, f *runFlags, dir *findingsDir) ([]*report.Status, error) {
	all, left, err := dir.read("")
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for _, err := range left {
		t.u.warn("%v", err)
	}
	again := &findingsFlags{targetFlags: f.targetFlags, repeat: checkRepeat}
	if err := again.checkAgain(ctx, t.u, dir, all); err != nil {
		return nil, err
	}
	if dir.root == t.baseline {
		return all, nil // which is only read
	}
	return all, dir.record(t.u, all, time.Now())
}

// checkedText says what became of findings.
func checkedText(all []*report.Status) string {
	states := map[string]int{}
	var lines []string
	for _, s := range all {
		state := string(s.State)
		if s.Known && s.State != report.Fixed {
			state = "known"
		}
		states[state]++
		lines = append(lines, fmt.Sprintf("\nbpffuzz:   %s: %s", s.Key, s.Text()))
	}
	var parts []string
	for _, state := range []string{"regressed", "still failing", "flaky", "changed", "unchecked", "fixed", "known"} {
		if n := states[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return count(len(all), "finding") + " ran again: " + strings.Join(parts, ", ") + strings.Join(lines, "")
}
