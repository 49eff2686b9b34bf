package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage"
)

func itoa(n int) string { return strconv.Itoa(n) }

// exports returns the files that run a finding's input elsewhere, and what they can do.
// Without a recipe there is only what the bytes of the packets allow.
func exports(f *triage.Finding, r *Recipe) map[string][]byte {
	files := map[string][]byte{}
	if hasPacket(f.Input) && !f.Payload {
		files[scapyFile] = []byte(Scapy(f))
	}
	if r == nil {
		return files
	}
	if r.can(testFile) == "" {
		files[testFile] = []byte(GoTest(f, r))
	}
	if r.Object == nil {
		return files
	}
	files[objectFile] = r.Object
	if r.can(cFile) == "" {
		files[cFile] = []byte(C(f, r))
	}
	if r.can(shellFile) == "" {
		files[shellFile] = []byte(Shell(f, r))
		maps.Copy(files, shellInputs(f, r))
	}
	return files
}

// exported is what an export does, in report.json.
type exported struct {
	File string `json:"file"`
	// Reproduces says that the file makes the failure happen; Why says why it does not.
	Reproduces bool   `json:"reproduces"`
	Why        string `json:"why,omitempty"`
}

// abilities lists the exports that run the program, and what each can do.
func abilities(r *Recipe) []exported {
	if r == nil {
		return nil
	}
	var list []exported
	for _, name := range []string{testFile, shellFile, cFile} {
		why := r.can(name)
		list = append(list, exported{File: name, Reproduces: why == "", Why: why})
	}
	return list
}

// writeExports says which exports reproduce the finding.
func writeExports(s *strings.Builder, r *Recipe) {
	list := abilities(r)
	if len(list) == 0 {
		return
	}
	s.WriteString("\nexports\n")
	whys := map[string][]string{}
	var able []string
	for _, e := range list {
		if e.Reproduces {
			able = append(able, e.File)
			continue
		}
		whys[e.Why] = append(whys[e.Why], e.File)
	}
	if len(able) > 0 {
		fmt.Fprintf(s, "  reproduced by %s\n", strings.Join(able, ", "))
	}
	for _, why := range slices.Sorted(maps.Keys(whys)) {
		fmt.Fprintf(s, "  not by %s: %s\n", strings.Join(whys[why], ", "), why)
	}
}

// comment writes text behind a mark, line by line, so that nothing of it becomes code.
func comment(mark, text string) string {
	var s strings.Builder
	for line := range strings.Lines(text) {
		line = strings.Map(func(r rune) rune {
			if r != '\t' && (r < ' ' || r == 0x7f) {
				return ' '
			}
			return r
		}, strings.TrimRight(line, "\r\n"))
		gap := " "
		if strings.HasPrefix(line, "\t") {
			gap = ""
		}
		s.WriteString(strings.TrimRight(mark+gap+line, " \t") + "\n")
	}
	return s.String()
}
