package screen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// maxReport is how much of a report is shown, in bytes.
const maxReport = 1 << 20

// report is a finding's report while it is read.
type report struct {
	title string
	text  []string
	top   int // index of the first line that is shown

	width   int // that wrapped is for
	wrapped []string
	page    int // lines that were shown last
}

// openReport reads the report of a finding. What cannot be read is said in its place.
func openReport(f *campaign.FindingStatus) *report {
	r := &report{title: clean(f.Key)}
	if f.Command != "" {
		r.text = append(r.text, "replay it with:", "  "+clean(f.Command), "")
	}
	text, err := readReport(filepath.Join(f.Path, "report.txt"))
	if err != nil {
		r.text = append(r.text, clean(err.Error()))
		return r
	}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		r.text = append(r.text, strings.TrimRight(clean(strings.ReplaceAll(line, "\t", "    ")), " "))
	}
	return r
}

func readReport(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the report: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxReport))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("reading the report: %w", err)
	}
	return string(b), nil
}

// scroll moves by lines; pages are in lines of the last page.
func (r *report) scroll(lines int) { r.top = max(0, min(r.top+lines, len(r.wrapped)-r.page)) }

// lines draws the report with its title above and the keys below. Long lines go on in the
// next one: a command has to be there whole to be copied.
func (r *report) lines(width, height int) []string {
	if r.width != width {
		r.width, r.wrapped = width, nil
		for _, line := range r.text {
			r.wrapped = append(r.wrapped, strings.Split(ansi.Hardwrap(line, width, true), "\n")...)
		}
	}
	r.page = height - 2
	r.scroll(0)
	lines := []string{spread(bold.Styled(fit(r.title, width)), r.position(), width)}
	lines = append(lines, r.wrapped[r.top:min(r.top+r.page, len(r.wrapped))]...)
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	return append(lines, faint.Styled(fit("esc back  ↑↓ scroll  space page  ctrl-c stop", width)))
}

func (r *report) position() string {
	if len(r.wrapped) <= r.page {
		return ""
	}
	return fmt.Sprintf("%d-%d of %d", r.top+1, r.top+r.page, len(r.wrapped))
}
