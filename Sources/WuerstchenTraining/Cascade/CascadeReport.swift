internal import Foundation
internal import Wuerstchen

/// The page about the training of a cascade: what each piece took, and images from captions.
struct CascadeReport {
    private let training: CascadeTraining
    private let record: CascadeRecord

    init(_ training: CascadeTraining, _ record: CascadeRecord) {
        self.training = training
        self.record = record
    }

    /// Draws samples with the checkpoint and writes `report.html`, `sheet.html` and `sheet.png`.
    ///
    /// - Throws: `CancellationError`, and what loading the checkpoint and writing files throw.
    func write() throws {
        let sheet = try sheet()
        let folder = training.folder
        try sheet.write(to: folder.appendingPathComponent("sheet.html"))
        try sheet.write(to: folder.appendingPathComponent("sheet.png"))
        let body = [
            "<p>\(training.images.imageCount) images, \(record.architecture.side) pixels</p>",
            HTMLPage.table(rows), "<h2>Pieces</h2>", links,
            "<h2>From captions</h2>", try sheet.html(),
        ]
        try HTMLPage(title: "Training of a cascade", body: body.joined(separator: "\n"))
            .write(to: folder.appendingPathComponent("report.html"))
    }

    private var rows: [(name: String, value: String)] {
        record.schedule.pieces.map { piece in
            let entry = record.schedule.entries[piece]
            return (
                piece.title,
                "\(entry?.steps ?? 0) steps, \(Duration.seconds(entry?.seconds ?? 0).readable)"
            )
        }
    }

    private var links: String {
        "<ul>\n"
            + record.schedule.pieces.map {
                "<li><a href=\"\($0.rawValue)/report.html\">\($0.title.escapedForHTML)</a></li>\n"
            }.joined() + "</ul>"
    }

    /// Images from captions that were learnt from, and from some that were not.
    private func sheet() throws -> ContactSheet {
        let cascade = try Cascade(contentsOf: training.checkpoint, precision: .bfloat16)
        var sheet = ContactSheet(title: "From captions", imageSide: 160)
        for (label, images) in [
            ("captions that were learnt from", training.images as ImageFolder?),
            ("captions that were not", training.images.validation),
        ] {
            guard let images else { continue }
            let captions = Array(images.allCaptions.filter { !$0.isEmpty }.prefix(8))
            let made = try captions.enumerated().flatMap { index, caption in
                try cascade.makeImages(for: .sample(of: caption, seed: UInt64(index)))
            }
            sheet.addRow(label, made, captions: captions)
        }
        return sheet
    }
}
