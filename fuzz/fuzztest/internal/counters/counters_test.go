package counters

import (
	"bytes"
	"os"
	"testing"
)

// expectation is what a build has, which the test that makes it sets: "memory" or
// "calls".
const expectation = "COUNTERS_EXPECT"

// TestFound: in a build for fuzzing the cells are found, in any other there are none.
func TestFound(t *testing.T) {
	c := Open()
	want := os.Getenv(expectation) == "memory"
	if c.Direct() != want {
		t.Fatalf("the memory of the engine is found: %t, want %t (%d counters)", c.Direct(), want, c.Total())
	}
	if want && c.Total() < cells {
		t.Fatalf("%d counters in all, there are %d cells", c.Total(), cells)
	}
}

// TestShow: both ways show the same.
func TestShow(t *testing.T) {
	c := Open()
	if !c.Direct() {
		t.Skip("needs a test binary that was built with -fuzz")
	}
	for _, test := range []struct {
		name     string
		first    int
		features []byte
		want     map[int]byte
		next     int
	}{
		{"nothing", 0, make([]byte, 10), nil, 10},
		{"levels", 0, []byte{1, 2, 4, 8, 16, 32, 64, 128}, map[int]byte{0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 5: 32, 6: 64, 7: 128}, 8},
		{"in the middle", 100, []byte{0, 1}, map[int]byte{101: 1}, 102},
		{"around the end", cells - 1, []byte{1, 2}, map[int]byte{cells - 1: 1, 0: 2}, cells + 1},
		{"beyond the end", 3 * cells, []byte{4}, map[int]byte{0: 4}, 3*cells + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := make([]byte, cells)
			for cell, level := range test.want {
				want[cell] = level
			}
			for name, how := range map[string]*Counters{"memory": c, "calls": {}} {
				c.Forget()
				if next := how.Show(test.first, test.features); next != test.next {
					t.Errorf("%s: the next cell is %d, want %d", name, next, test.next)
				}
				if !bytes.Equal(c.cells, want) {
					t.Errorf("%s: the cells are not what was shown", name)
				}
			}
			c.Forget()
			if !bytes.Equal(c.cells, make([]byte, cells)) {
				t.Error("the cells are not cleared")
			}
		})
	}
}

// TestFindElsewhere: what only looks like the cells is not taken for them.
func TestFindElsewhere(t *testing.T) {
	for name, all := range map[string][]byte{
		"nothing": nil, "too few": make([]byte, cells-1), "other memory": bytes.Repeat([]byte{1}, 2*cells),
	} {
		if at, ok := find(all); ok {
			t.Errorf("%s: cells are found at %d", name, at)
		}
	}
}

func TestShowAllocations(t *testing.T) {
	features := bytes.Repeat([]byte{0, 1}, 200)
	for name, c := range map[string]*Counters{"opened": Open(), "calls": {}} {
		if n := testing.AllocsPerRun(100, func() {
			c.Forget()
			c.Show(0, features)
		}); n != 0 {
			t.Errorf("%s: %v allocations for each execution, want 0", name, n)
		}
	}
}

func BenchmarkShow(b *testing.B) {
	features := bytes.Repeat([]byte{0, 0, 0, 1}, 250)
	for name, c := range map[string]*Counters{"opened": Open(), "calls": {}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Show(0, features)
			}
		})
	}
}
