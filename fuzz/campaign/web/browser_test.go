package web

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign/web/webtest"
)

const findingPage = "/targets/parser/findings/broken-parser-1"

// host is what requests of a server's pages go to.
func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestInBrowser(t *testing.T) {
	browser := webtest.Start(t)
	for name, test := range map[string]func(*testing.T, *webtest.Browser){
		"numbers move": numbersMove, "finding is downloaded": findingIsDownloaded, "phone and colours": phoneAndColours, "keyboard": keyboard,
		"structure": structureIsThere, "token is asked for": tokenIsAskedFor, "connection comes back": connectionComesBack,
	} {
		t.Run(name, func(t *testing.T) { test(t, browser.Tab(t)) })
	}
}

// Numbers move without the page being loaded again, and what somebody looks at stays.
func numbersMove(t *testing.T, b *webtest.Browser) {
	y := newToy(t)
	s := y.serve(t, Options{})
	b.Open(s.URL + "/")
	b.Until(`document.getElementById("link-text").textContent === "live"`)
	b.Is(`(window.stayed = document.querySelector("#target-parser a")).focus(), true`)
	for n := 2; n <= 5; n++ {
		y.step(n)
		b.Until(fmt.Sprintf(`document.getElementById("edges").textContent === "%d" && document.getElementById("corpus").textContent === "%d"`, n, 2*n))
	}
	if !b.Is(`document.activeElement === window.stayed && window.stayed.isConnected`) {
		t.Error("the focus is gone")
	}
	b.Until(`/of 80 edges/.test(document.getElementById("said").textContent)`)

	b.Open(s.URL + "/targets/parser")
	b.Until(`document.getElementById("plot-edges").dataset.points === "5" && document.querySelectorAll(".plot canvas").length === 3`)
	y.step(6)
	b.Until(`document.getElementById("plot-edges").dataset.points === "6" && document.getElementById("edges").textContent === "6"`)
	b.Until(`document.querySelectorAll("#frontier tbody tr").length === 2`)
	if label := b.Text(`document.getElementById("plot-edges").getAttribute("aria-label")`); label != "6 of 40 edges after 6s" {
		t.Errorf("the plot is called %q", label)
	}
	y.end()
	b.Until(`document.getElementById("link-text").textContent === "ended" && /ended after/.test(document.getElementById("run").textContent)`)
	b.Check(host(t, s.URL))
}

func findingIsDownloaded(t *testing.T, b *webtest.Browser) {
	y := newToy(t)
	s := y.serve(t, Options{})
	b.Open(s.URL + "/")
	b.Is(`document.querySelector("#findings a").click(), true`)
	b.Until(`location.pathname === "` + findingPage + `" && document.getElementById("report")?.contentDocument?.getElementById("packet")?.textContent === "decoded"`)
	b.Until(`(r => r.offsetHeight < 400 && r.contentDocument.body.offsetHeight <= r.offsetHeight)(document.getElementById("report"))`)
	if !b.Is(`document.querySelectorAll("main script, main img").length === 0 && /<script>/.test(document.querySelector(".headline").textContent)`) {
		t.Error("what is wrong is not shown as text")
	}
	want, err := os.ReadFile(filepath.Join(y.dir, "input.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	b.Is(`document.querySelector(".files a").click(), true`)
	if got := b.Downloaded("input.pcap"); string(got) != string(want) {
		t.Errorf("downloaded %q, the file is %q", got, want)
	}
	b.Check(host(t, s.URL))
}

// pages are all kinds of them.
func pages() []string {
	return []string{"/", "/log", "/targets/parser", "/targets/router", "/targets/parser/frontier", "/targets/parser/source", "/targets/parser/flow", findingPage, "/nothing"}
}

func phoneAndColours(t *testing.T, b *webtest.Browser) {
	y := newToy(t)
	s := y.serve(t, Options{})
	for _, dark := range []bool{true, false} {
		b.Shape(375, 700, dark, true)
		for _, page := range pages() {
			b.Open(s.URL + page)
			if wide := b.Text(`document.documentElement.scrollWidth > innerWidth ? String(document.documentElement.scrollWidth) : ""`); wide != "" {
				t.Errorf("%s: is %s pixels wide on a phone", page, wide)
			}
			// Text has to stand out from what is behind it as WCAG 2 asks for.
			if low := b.Text(contrast); low != "" {
				t.Errorf("%s, dark %v: hard to read: %s", page, dark, low)
			}
		}
	}
	b.Open(s.URL + "/targets/parser")
	b.Until(`document.querySelectorAll(".plot canvas").length === 3`)
	before := b.Text(`getComputedStyle(document.body).backgroundColor`)
	b.Shape(375, 700, true, true)
	b.Until(`getComputedStyle(document.body).backgroundColor !== "` + before + `"`)
	if !b.Is(`getComputedStyle(document.querySelector("[data-changes]")).animationName === "none"`) {
		t.Error("something moves for readers who do not want that")
	}
}

// contrast names an element whose text is too faint, "" for none.
const contrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
	const light = (c) => c.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 200) return c; } return [255, 255, 255, 255]; };
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.offsetParent || e.closest(".hidden, .gone, meter, option")) continue;
		const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) return e.tagName + "." + e.className + " " + ratio.toFixed(2) + ": " + e.textContent.trim().slice(0, 40);
	}
	return "";
})()`

// The whole way from the first page to a download goes without a mouse.
func keyboard(t *testing.T, b *webtest.Browser) {
	y := newToy(t)
	s := y.serve(t, Options{})
	b.Open(s.URL + "/")
	b.Until(`document.getElementById("link-text").textContent === "live"`)
	b.Press(kb.Tab)
	if !b.Is(`document.activeElement.className === "skip" && document.activeElement.getBoundingClientRect().left >= 0`) {
		t.Error("the first stop is not the link that skips to the content")
	}
	b.Press(kb.Enter)
	b.Until(`document.activeElement.id === "main"`)
	for key, want := range map[string]string{"j": "/targets/parser", kb.ArrowDown: "/targets/router"} {
		if key == "j" {
			b.Press(key)
			b.Until(`document.activeElement.getAttribute("href") === "` + want + `"`)
		}
	}
	b.Press(kb.ArrowDown)
	b.Until(`document.activeElement.getAttribute("href") === "/targets/router"`)
	if !b.Is(`parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2 && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
		t.Error("the focus cannot be seen")
	}
	b.Press("j")
	b.Until(`document.activeElement.getAttribute("href") === "` + findingPage + `"`)
	b.Press("k")
	b.Press("j")
	b.Press(kb.Enter)
	b.Until(`location.pathname === "` + findingPage + `" && document.querySelector(".files a") !== null`)
	reached := false
	for range 20 {
		b.Press(kb.Tab)
		if reached = b.Is(`document.activeElement.getAttribute("download") === "input.pcap"`); reached {
			break
		}
	}
	if !reached {
		t.Fatal("the download is not reached with the tab key")
	}
	b.Press(kb.Enter)
	if len(b.Downloaded("input.pcap")) == 0 {
		t.Error("the download is empty")
	}
	b.Check(host(t, s.URL))
}

// Pages can be read out: landmarks, one headline, tables with captions and scopes, controls
// and pictures with names, ids once.
func structureIsThere(t *testing.T, b *webtest.Browser) {
	s := newToy(t).serve(t, Options{})
	for _, page := range pages() {
		b.Open(s.URL + page)
		if wrong := b.Text(structure); wrong != "" {
			t.Errorf("%s: %s", page, wrong)
		}
	}
}

const structure = `(() => {
	const all = (s) => [...document.querySelectorAll(s)];
	if (document.documentElement.lang !== "en" || all("h1").length !== 1 || all("main").length !== 1) return "no language, headline or main part";
	for (const t of all("main table")) if (!t.closest(".plot") && (!t.caption || !t.caption.textContent || all("th:not([scope])").filter((h) => t.contains(h)).length)) return "a table without caption or scopes";
	for (const e of all("a, button")) if (!(e.textContent.trim() || e.getAttribute("aria-label"))) return "a control without a name";
	for (const e of all("img, iframe, [role=img], nav")) if (!(e.alt || e.title || e.getAttribute("aria-label"))) return e.tagName + " without a name";
	const ids = all("[id]").map((e) => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) return "two of " + id;
	for (const e of all("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) return "a name that is not there";
	if (!document.querySelector("[aria-live=polite]")) return "nobody is told of changes";
	return "";
})()`

func tokenIsAskedFor(t *testing.T, b *webtest.Browser) {
	y := newToy(t)
	s := y.serve(t, Options{Token: token})
	b.Open(s.URL + "/targets/parser")
	b.Until(`document.querySelector("h1").textContent === "A token is needed"`)
	if b.Is(`/night|parser\.o/.test(document.documentElement.outerHTML)`) {
		t.Error("something is told without the token")
	}
	b.Press("wrong-wrong-wrong-wrong")
	b.Press(kb.Enter)
	b.Until(`document.querySelector("[role=alert]") !== null`)
	b.Forget() // the browser notes that it was refused
	b.Is(`document.getElementById("token").focus(), true`)
	b.Press(token)
	b.Press(kb.Enter)
	b.Until(`document.querySelector("h1").textContent === "parser" && document.getElementById("link-text").textContent === "live"`)
	if !b.Is(`location.search === "" && document.cookie === ""`) {
		t.Error("the token stays in the address, or scripts see the cookie")
	}
	b.Check(host(t, s.URL))
}

// A browser that lost its connection goes on by itself, with what it missed.
func connectionComesBack(t *testing.T, b *webtest.Browser) {
	y := newToy(t)
	s := y.serve(t, Options{})
	b.Open(s.URL + "/targets/parser")
	b.Until(`document.getElementById("link-text").textContent === "live" && document.getElementById("plot-edges").dataset.points === "1"`)
	s.CloseClientConnections()
	y.step(2)
	y.step(3)
	b.Until(`document.getElementById("plot-edges").dataset.points === "3" && document.getElementById("link-text").textContent === "live"`)
}
