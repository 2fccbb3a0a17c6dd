import Foundation
import TensorCore
import Wuerstchen

/// A page of HTML in one file: it needs no other, and is light or dark as its reader prefers.
struct HTMLPage {
    var title: String
    /// What stands below the title, as HTML.
    var body: String

    /// The text of the file.
    var document: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        \(Self.generator)
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(title.escapedForHTML)</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <h1>\(title.escapedForHTML)</h1>
        \(body)
        </body>
        </html>

        """
    }

    /// Writes the page, whole or not at all.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    func write(to url: URL) throws {
        try AtomicFile.replace(url, with: Data(document.utf8))
    }

    /// Whether a file is a page that this package wrote.
    static func isOwn(_ url: URL) -> Bool {
        guard let handle = try? FileHandle(forReadingFrom: url) else { return false }
        defer { try? handle.close() }
        let start = (try? handle.read(upToCount: 1 << 10)) ?? Data()
        return String(decoding: start, as: UTF8.self).contains(Self.generator)
    }

    private static let generator = "<meta name=\"generator\" content=\"\(Image.software.value)\">"

    /// A table of names and values.
    static func table(_ rows: [(name: String, value: String)]) -> String {
        "<table>\n"
            + rows.map {
                "<tr><th>\($0.name.escapedForHTML)</th><td>\($0.value.escapedForHTML)</td></tr>\n"
            }.joined() + "</table>"
    }

    /// The colours of series stay apart for every kind of colour vision (Okabe and Ito, 2008).
    private static let style = """
        :root {
          color-scheme: light dark;
          --paper: #fff; --ink: #1d2127; --faint: #676e7a; --rule: #e4e7eb;
          --s0: #0072b2; --s1: #d55e00;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #15181c; --ink: #e4e7eb; --faint: #98a0ac; --rule: #2d323a;
            --s0: #56b4e9; --s1: #f08c48;
          }
        }
        body {
          max-width: 72rem; margin: 0 auto; padding: 2rem 1.5rem 4rem;
          background: var(--paper); color: var(--ink);
          font: 1rem/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
        }
        h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
        h2 { margin: 2.5rem 0 0.75rem; font-size: 1.15rem; }
        h3 { margin: 1.25rem 0 0.5rem; font-size: 1rem; font-weight: 500; color: var(--faint); }
        p { margin: 0.25rem 0; color: var(--faint); }
        progress { width: 100%; height: 0.5rem; margin-top: 0.5rem; accent-color: var(--s0); }
        table { border-collapse: collapse; }
        th, td { padding: 0.25rem 0; border-bottom: 1px solid var(--rule); }
        th { padding-right: 3rem; text-align: left; font-weight: 400; color: var(--faint); }
        td { text-align: right; }
        .columns { display: flex; flex-wrap: wrap; gap: 0 5rem; }
        .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
        .charts { gap: 1.25rem 2rem; }
        .chart { margin: 0; }
        .chart figcaption { display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
        .chart i {
          display: inline-block; width: 1.25rem; height: 3px; margin-right: 0.5rem;
          vertical-align: middle; border-radius: 2px;
        }
        .chart svg { display: block; width: 100%; height: auto; }
        .chart line { stroke: var(--rule); }
        .chart text { fill: var(--faint); font-size: 13px; }
        .chart polyline {
          fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round;
        }
        .chart .raw { stroke-width: 1; opacity: 0.3; }
        .s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); }
        i.s0 { background: var(--s0); } i.s1 { background: var(--s1); }
        .images { display: grid; gap: 1rem 0.75rem; }
        .images figure { margin: 0; min-width: 0; }
        .images figcaption {
          font-size: 0.8rem; line-height: 1.35; color: var(--faint); overflow-wrap: anywhere;
        }
        .images img { display: block; max-width: 100%; height: auto; margin-bottom: 0.25rem; }
        .images img.pixels { image-rendering: pixelated; }
        """
}

extension String {
    /// The text as HTML, for between tags and in quoted attributes.
    var escapedForHTML: String {
        var escaped = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
