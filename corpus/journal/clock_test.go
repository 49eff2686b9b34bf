package journal

import (
	"path/filepath"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// The clock may be set between two runs, back as well: runs have to differ in their
// numbers, and nothing depends on which one is greater.
func TestClockIsSetBetweenRuns(t *testing.T) {
	const year = 365 * 24 * 3600 * 1e9
	for name, jumps := range map[string][2]int64{"back": {year, 0}, "forth": {0, year}, "back and further": {2 * year, year}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			for i, text := range []string{"one", "two"} {
				j := mustOpen(t, dir, Options{})
				j.head.run += uint64(jumps[i])
				must(t, runs(mustLane(t, j, 0, 0), []corpus.Input{*input(text)}))
			}
			left := mustOpen(t, dir, Options{}).Left()
			if got := texts(left.Inputs); got != "one two" || !left.Killed || len(left.Problems) > 0 {
				t.Errorf("left %q, %+v", got, left)
			}
		})
	}
}
