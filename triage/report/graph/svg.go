package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

const (
	titleHeight = 24.0
	legendWidth = 190.0
)

// WriteSVG lays the graph out and writes a picture that stands alone: no scripts, no
// style sheets, no fonts to fetch.
func (g *Graph) WriteSVG(w io.Writer) error {
	if err := g.check(); err != nil {
		return err
	}
	layouts := make([]*layout, len(g.Parts))
	width, height := float64(len(clean(g.Title)))*charWidth, titleHeight
	if g.Legend {
		width = max(width, 4*legendWidth)
		height += titleHeight
	}
	for i := range g.Parts {
		layouts[i] = newLayout(&g.Parts[i])
		low, high := layouts[i].bounds()
		width = max(width, high.x-low.x, float64(len(clean(g.Parts[i].Name)))*charWidth)
		height += titleHeight + high.y - low.y + gapY
	}
	s := &svg{bufio.NewWriter(w)}
	s.begin(g.Title, width+2*margin, height+2*margin)
	y := margin + titleHeight/2
	s.text(margin, y, "title", g.Title)
	if y += titleHeight / 2; g.Legend {
		s.legend(y)
		y += titleHeight
	}
	for i, l := range layouts {
		y = s.part(&g.Parts[i], l, y)
	}
	fmt.Fprint(s.w, "</svg>\n")
	return s.w.Flush()
}

type svg struct{ w *bufio.Writer }

func (s *svg) begin(title string, width, height float64) {
	fmt.Fprintf(s.w, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="monospace" font-size="%d">
<title>%s</title>
<defs>
`, width, height, width, height, fontSize, markup(title))
	for state := Plain; state <= Removed; state++ {
		fmt.Fprintf(s.w, `<marker id="arrow%d" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="%s"/></marker>
`, state, state.stroke())
	}
	fmt.Fprintf(s.w, "</defs>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n")
}

func (s *svg) text(x, y float64, class, text string) {
	weight := ""
	if class == "title" {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(s.w, "<text x=\"%.1f\" y=\"%.1f\"%s xml:space=\"preserve\">%s</text>\n", x, y, weight, markup(text))
}

func (s *svg) legend(y float64) {
	for state := Covered; state <= Removed; state++ {
		x := margin + float64(state-Covered)*legendWidth
		fmt.Fprintf(s.w, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"12\" fill=\"%s\" stroke=\"%s\"%s/>\n", x, y, state.fill(), state.stroke(), dashes(state))
		s.text(x+20, y+10, "", state.String())
	}
}

// part draws one function and returns where the next begins.
func (s *svg) part(p *Part, l *layout, y float64) float64 {
	y += titleHeight
	s.text(margin, y-titleHeight/3, "title", p.Name)
	low, high := l.bounds()
	fmt.Fprintf(s.w, "<g transform=\"translate(%.1f %.1f)\">\n", margin-low.x, y-low.y)
	for i := range p.Edges {
		s.edge(&p.Edges[i], l.paths[i])
	}
	for i := range p.Nodes {
		s.node(&p.Nodes[i], &l.vertices[i])
	}
	fmt.Fprint(s.w, "</g>\n")
	return y + high.y - low.y + gapY
}

func (s *svg) node(n *Node, v *vertex) {
	x := v.x - v.width/2
	fmt.Fprintf(s.w, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\" fill=\"%s\" stroke=\"%s\"/>\n",
		x, v.y, v.width, v.height, n.State.fill(), n.State.stroke())
	for i, line := range n.Lines {
		s.text(x+padding, v.y+padding+float64(i)*lineHeight+fontSize, "", line)
	}
}

func (s *svg) edge(e *Edge, path []point) {
	var d strings.Builder
	for i, p := range path {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", command, p.x, p.y)
	}
	fmt.Fprintf(s.w, "<path d=\"%s\" fill=\"none\" stroke=\"%s\"%s marker-end=\"url(#arrow%d)\">", d.String(), e.State.stroke(), dashes(e.State), min(e.State, Removed))
	if label := strings.TrimSpace(e.Label + ", " + e.State.String()); e.State != Plain {
		fmt.Fprintf(s.w, "<title>%s</title>", markup(strings.TrimPrefix(label, ", ")))
	} else if e.Label != "" {
		fmt.Fprintf(s.w, "<title>%s</title>", markup(e.Label))
	}
	fmt.Fprint(s.w, "</path>\n")
	if e.Label != "" && len(path) > 0 {
		fmt.Fprintf(s.w, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"9\" fill=\"%s\">%s</text>\n", path[0].x+2, path[0].y+9, e.State.stroke(), markup(e.Label))
	}
}

func dashes(s State) string {
	switch s {
	case Missed:
		return ` stroke-dasharray="6 3"`
	case Unknown:
		return ` stroke-dasharray="2 3"`
	case Removed:
		return ` stroke-dasharray="8 3 2 3"`
	}
	return ""
}

func markup(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(clean(text))
}
