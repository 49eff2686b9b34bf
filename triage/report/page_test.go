package report

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/triage"
)

// TestPageLoadsNothing sees to it that the page has all that it shows, in light and dark,
// and that nothing of a finding becomes markup.
func TestPageLoadsNothing(t *testing.T) {
	f := simple()
	f.Title = `<script>alert("x")</script> & <img src=x>`
	f.Notes = []string{"</pre><b>bold</b>"}
	b, err := HTML(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	if found := regexp.MustCompile(`(?i)<(script|img|link|iframe|b)\b|\b(src|href)=["a-z]+|url\(|@import|https?:`).FindString(strings.ReplaceAll(page, "&lt;img src=x&gt;", "")); found != "" {
		t.Errorf("the page has %q", found)
	}
	for _, want := range []string{"prefers-color-scheme: dark", "&lt;script&gt;", `<tr class="matters"><td class="name">ar_op`, "<ins>01</ins>", "passes with 10.0.0.0"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestMarkdownIsText sees to it that text stays text.
func TestMarkdownIsText(t *testing.T) {
	f := simple()
	f.Title = "*a* <b> | `c` [d](e)"
	text := Markdown(f, Options{})
	for _, want := range []string{`\*a\* \<b\> \| \` + "`c" + `\` + "` " + `\[d\](e)`, `**ar\_op 1** (passes with 0)`, " [01] ", " [00] "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := fenced("a\n```\nb"); !strings.HasPrefix(got, "````\n") || !strings.HasSuffix(got, "\n````\n") {
		t.Errorf("text with fences is between\n%s", got)
	}
}

// TestPagesOfOddFindings renders what has no packets, no outcomes and no study.
func TestPagesOfOddFindings(t *testing.T) {
	f := payload()
	f.Steps = f.Steps[:1]
	f.Study = &triage.Study{Cut: true, Execs: 3}
	if b, err := HTML(f, Options{}); err != nil || !strings.Contains(string(b), "The rest was not tried, after 3 runs.") || !strings.Contains(string(b), "did not run") {
		t.Errorf("page: %v\n%s", err, b)
	}
	if text := Markdown(f, Options{}); !strings.Contains(text, "did not run") {
		t.Errorf("text:\n%s", text)
	}
}
