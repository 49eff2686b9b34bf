package graph

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

func sample() *Graph {
	return &Graph{
		Title: "fw, coverage by 3 inputs", Legend: true,
		Parts: []Part{{
			Name: "fw",
			Nodes: []Node{
				{[]string{`; fw.c:3 if (a < b && *p != "x")`, "   0: if r1 > r2 goto pc+3"}, Covered},
				{[]string{"   1: r0 = 1"}, Covered},
				{[]string{"   4: call bpf_tail_call#12"}, Missed},
				{[]string{"   7: exit"}, Unknown},
			},
			Edges: []Edge{
				{0, 1, "else", Covered},
				{0, 2, "taken", Missed},
				{1, 0, "taken", Covered},
				{1, 3, "else", Covered},
				{2, 3, "", Unknown},
				{2, 2, "", Missed},
			},
		}, {
			Name:  "static <helper>",
			Nodes: []Node{{[]string{"   0: exit"}, Plain}},
		}},
	}
}

func TestGolden(t *testing.T) {
	for name, write := range map[string]func(*Graph, io.Writer) error{"fw.dot": (*Graph).WriteDOT, "fw.svg": (*Graph).WriteSVG} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(sample(), &b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("differs from %s (write it with -update):\n%s", path, b.Bytes())
			}
		})
	}
}

func TestEdgesToNowhere(t *testing.T) {
	for _, e := range []Edge{{From: 0, To: 1}, {From: -1, To: 0}, {From: 2, To: 0}} {
		g := &Graph{Parts: []Part{{Name: "f", Nodes: make([]Node, 1), Edges: []Edge{e}}}}
		if err := errors.Join(g.WriteDOT(io.Discard), g.WriteSVG(io.Discard)); err == nil {
			t.Errorf("edge from %d to %d of one node is drawn", e.From, e.To)
		}
	}
}

// TestHostileText has names that objects may have.
func TestHostileText(t *testing.T) {
	evil := "a\"];\n}\\ <script>&amp;\x00\x1b[2J\xff\u202e" + strings.Repeat("x", 1000)
	g := &Graph{Title: evil, Parts: []Part{{Name: evil, Nodes: []Node{{Lines: []string{evil}}}, Edges: []Edge{{Label: evil}}}}}
	var dot, svg bytes.Buffer
	if err := errors.Join(g.WriteDOT(&dot), g.WriteSVG(&svg)); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, svg.Bytes())
	for _, text := range []string{dot.String(), svg.String()} {
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\u202e") || strings.Contains(text, strings.Repeat("x", maxLine+1)) {
			t.Errorf("not clean: %q", text)
		}
	}
	if lines := strings.Count(dot.String(), "\n"); lines != 10 {
		t.Errorf("%d lines, want 10: a name ended one:\n%s", lines, dot.String())
	}
}

func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
}

// random is a flow graph of n nodes like those of programs: most edges are short,
// some leave to the end, some lead back.
func random(n int, r *rand.Rand) *Part {
	p := &Part{Name: "random"}
	for i := range n {
		p.Nodes = append(p.Nodes, Node{Lines: make([]string, 1+r.IntN(5))})
		for range r.IntN(3) {
			to := min(n-1, i+1+r.IntN(4))
			switch r.IntN(10) {
			case 0:
				to = n - 1
			case 1:
				to = r.IntN(i + 1)
			}
			p.Edges = append(p.Edges, Edge{From: i, To: to, State: State(r.IntN(4))})
		}
	}
	return p
}

func TestLayout(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			p := random(1+r.IntN(60), r)
			l := newLayout(p)
			for _, rank := range l.ranks {
				for i := 1; i < len(rank); i++ {
					a, b := &l.vertices[rank[i-1]], &l.vertices[rank[i]]
					if gap := b.x - b.width/2 - a.x - a.width/2; gap < gapX-0.01 || a.y != b.y {
						t.Errorf("vertices %d and %d are %f apart", rank[i-1], rank[i], gap)
					}
				}
			}
			for i, e := range p.Edges {
				path := l.paths[i]
				from, to := &l.vertices[e.From], &l.vertices[e.To]
				start, end := path[0], path[len(path)-1]
				if start.y != from.y+from.height || end.y != to.y || start.x < from.x-from.width/2 || end.x > to.x+to.width/2 {
					t.Errorf("edge %d from %d to %d is drawn from %v to %v", i, e.From, e.To, start, end)
				}
			}
		})
	}
}

// TestLanes has edges that must not lie on each other.
func TestLanes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	l := newLayout(random(80, r))
	type place struct {
		lane
		rank int
	}
	used := map[place]bundle{}
	lanes := l.lanes()
	if len(lanes) < 10 {
		t.Fatalf("only %d edges are in lanes", len(lanes))
	}
	for i, at := range lanes {
		e := &l.part.Edges[i]
		from, to := l.vertices[e.From].rank, l.vertices[e.To].rank
		for rank := min(from, to); rank <= max(from, to); rank++ {
			p := place{at, rank}
			if b, ok := used[p]; ok && b != l.bundleOf(i) {
				t.Errorf("edge %d lies on one to %d in rank %d", i, b.to, rank)
			}
			used[p] = l.bundleOf(i)
		}
	}
}

func BenchmarkLayout(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		p := random(n, rand.New(rand.NewPCG(1, 2)))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				newLayout(p)
			}
		})
	}
}
