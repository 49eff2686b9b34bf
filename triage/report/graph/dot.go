package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteDOT writes the graph in the language of Graphviz, a cluster for each part.
func (g *Graph) WriteDOT(w io.Writer) error {
	if err := g.check(); err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph %s {\n", quote(g.Title))
	fmt.Fprintf(b, "\tgraph [fontname=\"monospace\", labelloc=t, label=%s];\n", quote(g.Title))
	fmt.Fprintf(b, "\tnode [shape=box, style=filled, fillcolor=\"%s\", fontname=\"monospace\", fontsize=10];\n", Plain.fill())
	fmt.Fprintf(b, "\tedge [fontname=\"monospace\", fontsize=9];\n")
	for i := range g.Parts {
		g.Parts[i].writeDOT(b, i)
	}
	if g.Legend {
		fmt.Fprintf(b, "\tsubgraph cluster_legend {\n\t\tlabel=\"edges\";\n")
		for s := Covered; s <= Removed; s++ {
			fmt.Fprintf(b, "\t\tlegend%d [label=%s, fillcolor=\"%s\", color=\"%s\"];\n", s, quote(s.String()), s.fill(), s.stroke())
		}
		fmt.Fprintf(b, "\t}\n")
	}
	fmt.Fprintf(b, "}\n")
	return b.Flush()
}

func (p *Part) writeDOT(b *bufio.Writer, part int) {
	fmt.Fprintf(b, "\tsubgraph cluster_%d {\n\t\tlabel=%s;\n", part, quote(p.Name))
	for i := range p.Nodes {
		n := &p.Nodes[i]
		fmt.Fprintf(b, "\t\tf%db%d [label=\"%s\"", part, i, left(n.Lines))
		if n.State != Plain {
			fmt.Fprintf(b, ", fillcolor=\"%s\", color=\"%s\"", n.State.fill(), n.State.stroke())
		}
		fmt.Fprintf(b, "];\n")
	}
	for _, e := range p.Edges {
		fmt.Fprintf(b, "\t\tf%db%d -> f%db%d [label=%s", part, e.From, part, e.To, quote(e.Label))
		if e.State != Plain {
			fmt.Fprintf(b, ", color=\"%s\"", e.State.stroke())
		}
		if style := map[State]string{Missed: "dashed", Unknown: "dotted", Removed: "\"dashed,setlinewidth(0.5)\""}[e.State]; style != "" {
			fmt.Fprintf(b, ", style=%s", style)
		}
		fmt.Fprintf(b, "];\n")
	}
	fmt.Fprintf(b, "\t}\n")
}

// left joins lines, each aligned to the left.
func left(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(escape(line))
		b.WriteString(`\l`)
	}
	return b.String()
}

func quote(text string) string { return `"` + escape(text) + `"` }

func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(text))
}
