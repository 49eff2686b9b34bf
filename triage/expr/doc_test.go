package expr

import (
	"os"
	"strings"
	"testing"
)

// blocks returns the lines of a page's blocks of one language.
func blocks(page, language string) []string {
	var lines []string
	for i, part := range strings.Split(page, "```") {
		if rest, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			lines = append(lines, strings.Split(strings.TrimSpace(rest), "\n")...)
		}
	}
	return lines
}

func TestPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	examples := blocks(page, "expr")
	if len(examples) < 10 {
		t.Errorf("found %d examples", len(examples))
	}
	in, out := ran(1, tcpPacket(22), tcpPacket(22))
	for _, text := range examples {
		o := mustCompile(t, "page", text, xdpShape())
		if err := o.Judge(in, out); err != nil {
			t.Errorf("of a dropped packet: %v", err)
		}
	}
	errors := blocks(page, "errors")
	if len(errors) < 10 || len(errors)%2 != 0 {
		t.Fatalf("found %d lines of errors", len(errors))
	}
	for i := 0; i < len(errors); i += 2 {
		if _, err := Compile("", errors[i], xdpShape()); err == nil || err.Error() != "invariant: "+errors[i+1] {
			t.Errorf("%s:\n got %v\nwant %s", errors[i], err, errors[i+1])
		}
	}
	err = mustCompile(t, "no-leak", `verdict == "XDP_DROP" or in.tcp.dest != 22`, xdpShape()).Judge(ran(2, tcpPacket(22), nil))
	if err == nil || !strings.Contains(page, "    "+err.Error()+"\n") {
		t.Errorf("the page does not show %v", err)
	}
}

// TestPageNames holds the page's tables of names against the language: each name
// in the first column of the first table compiles as part of an invariant.
func TestPageNames(t *testing.T) {
	b, err := os.ReadFile("../../docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "## Names")
	table, _, _ = strings.Cut(table, "Layers:")
	found := 0
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for i, name := range strings.Split(cells[1], "`") {
			if i%2 == 0 || name == "in" || name == "out" {
				continue
			}
			found++
			if err := anyUse(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d names", found)
	}
}

// anyUse compiles a name as a statement, a number or a verdict.
func anyUse(name string) (err error) {
	for _, use := range []string{name, name + " == 1", name + ` == "pass"`} {
		if _, err = Compile("", use, xdpShape()); err == nil {
			return nil
		}
	}
	return err
}
