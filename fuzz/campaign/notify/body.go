package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Format is what a notification looks like.
type Format string

// Formats. The zero value is Generic.
const (
	// Generic is an Event as JSON.
	Generic Format = "generic"
	// Slack is what incoming webhooks of Slack take, and of Mattermost, Rocket.Chat and
	// others that are compatible.
	Slack Format = "slack"
)

// body returns what is posted.
func (f Format) body(e *Event) ([]byte, error) {
	if f == Slack {
		return json.Marshal(struct {
			Text string `json:"text"`
		}{slackText(e)})
	}
	return json.Marshal(e)
}

// slackText writes an event as a message. Texts that come from programs are escaped, so
// that they cannot mention anybody or look like a link.
func slackText(e *Event) string {
	var b strings.Builder
	name := escape(e.Campaign)
	if e.Mode != "" {
		name += " (" + escape(e.Mode) + ")"
	}
	target := escape(e.Target)
	if e.Target != e.Campaign { // of a run they are the same
		target += " of " + name
	}
	switch {
	case e.Event == NewFinding && e.Finding != nil:
		fmt.Fprintf(&b, "*New finding* in %s\n%s: %s\n`%s`", target, escape(e.Finding.Kind), escape(e.Finding.Title), escape(e.Finding.Key))
		if e.Finding.Command != "" {
			fmt.Fprintf(&b, "\n```%s```", escape(e.Finding.Command))
		}
	case e.Event == TargetFailed:
		fmt.Fprintf(&b, "*Target failed*: %s\n%s", target, escape(e.Problem))
	default:
		t := &e.Totals
		fmt.Fprintf(&b, "*Ended*: %s after %s, %d executions, edges %d/%d, corpus %d", name,
			(time.Duration(t.Seconds) * time.Second), t.Execs, t.Edges, t.Total, t.Corpus)
		fmt.Fprintf(&b, "\nnew findings: %d, findings: %d, targets: %d, failed: %d", t.New, t.Findings, t.Targets, t.Failed)
	}
	return b.String()
}

// escape makes foreign text plain in Slack's markup, on one line.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == '`': // it would end the code that some of it is shown as
			return '\''
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
