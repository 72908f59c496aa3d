//! A runbook in Markdown as a page.

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html::push_html};

use super::{layout, link_target};

/// The page of a runbook. HTML in the text is shown as text, images as their description, and only links
/// that are safe to follow are links.
pub fn runbook(title: &str, markdown: &str) -> Markup {
    let body = html! {
        p.eyebrow { a href="/" { "Overview" } " / runbook" }
        article.prose { (rendered(markdown)) }
    };
    layout(title, &body)
}

fn rendered(markdown: &str) -> Markup {
    let mut refused = Vec::new();
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            let refuse = link_target(dest_url).is_none();
            refused.push(refuse);
            (!refuse).then_some(event)
        }
        Event::End(TagEnd::Link) => (!refused.pop().unwrap_or(false)).then_some(event),
        event => Some(event),
    });
    let mut out = String::new();
    push_html(&mut out, events);
    PreEscaped(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_markdown() {
        let text = "# Disk fills\n\nSee **what** grows with `du -x`:\n\n```sh\ndu -x / | sort -n\n```\n\n1. first\n2. [docs](https://example.org/?a=1&b=2)\n\n- one\n- two\n";
        insta::assert_snapshot!(rendered(text).0, @r#"
        <h1>Disk fills</h1>
        <p>See <strong>what</strong> grows with <code>du -x</code>:</p>
        <pre><code class="language-sh">du -x / | sort -n
        </code></pre>
        <ol>
        <li>first</li>
        <li><a href="https://example.org/?a=1&amp;b=2">docs</a></li>
        </ol>
        <ul>
        <li>one</li>
        <li>two</li>
        </ul>
        "#);
    }

    #[test]
    fn nothing_runs() {
        let text = "<script>alert(1)</script>\n\na <img src=x onerror=alert(1)> b ![pixel](https://example.org/p.png) [x](javascript:alert(1)) [y](//evil.example) [z](data:text/html,x) <javascript:alert(1)>\n\n`<b>`";
        insta::assert_snapshot!(rendered(text).0, @r"
        <p>&lt;script&gt;alert(1)&lt;/script&gt;
        </p>
        <p>a &lt;img src=x onerror=alert(1)&gt; b pixel x y z javascript:alert(1)</p>
        <p><code>&lt;b&gt;</code></p>
        ");
    }
}
