import CWuerstchenKernels
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Kernels: products with packed matrices")
struct GEMMKernelTests {
    private static let columnCounts = [1, 15, 16, 17, 33, 48, 49, 64, 65, 80, 96, 100, 113]
    private static let depths = [1, 2, 3, 5, 31, 64, 100]

    /// What a float becomes when it is stored, but for 8 bits, which depend on the row.
    private func stored(_ x: Float, _ precision: Precision) -> Double {
        precision == .float32 ? Double(x) : Double(Twin.value(ofBFloat16: Twin.bfloat16(x)))
    }

    /// Makes sure that a row of 8-bit numbers is right to half a step.
    private func expectQuantized(
        _ got: ArraySlice<Double>, _ want: ArraySlice<Float>, step: Float, _ comment: String
    ) {
        expectNear(
            want.map { $0 }, got.map { $0 }, largest: 0.5001 * Double(step) + 1e-30, comment)
    }

    @Test("rows are converted", arguments: PackedGEMM.available, depths)
    func convert(gemm: PackedGEMM, depth: Int) {
        let rows = 5
        var random = RandomNumbers(seed: depth)
        var x = random.floats(rows * depth, spread: 3, centre: 0.5)
        // One row of equal numbers, and one of zeros.
        for place in depth..<2 * depth { x[place] = -2.5 }
        for place in 2 * depth..<3 * depth { x[place] = 0 }
        let bfloat16 = WordRows(bfloat16: x, depth: depth)
        for factors in [nil, random.floats(depth, spread: 2)] {
            for (source, got) in [
                (x, WordRows(SpacedRows(x, columns: depth), gemm, factors: factors)),
                (bfloat16.values.map { Float($0) }, WordRows(bfloat16, gemm, factors: factors)),
            ] {
                let want = source.enumerated().map { $1 * (factors?[$0 % depth] ?? 1) }
                check(got, want, rows, depth)
            }
        }
    }

    private func check(_ got: WordRows, _ want: [Float], _ rows: Int, _ depth: Int) {
        #expect(got.gapsAreUntouched)
        if got.precision != .int8 {
            #expect(got.values == want.map { stored($0, got.precision) })
            for row in 0..<rows { #expect(got.stored(row).dropFirst(depth).allSatisfy { $0 == 0 }) }
            return
        }
        for row in 0..<rows {
            let row = row * depth..<(row + 1) * depth
            let (least, largest) = (want[row].min() ?? 0, want[row].max() ?? 0)
            let place = row.lowerBound / depth
            #expect(got.offset[place] == least && got.scale[place] == (largest - least) / 255)
            expectQuantized(
                got.values[row], want[row], step: (largest - least) / 255, "row \(place)")
        }
    }

    @Test("columns are packed", arguments: PackedGEMM.available, columnCounts)
    func pack(gemm: PackedGEMM, columns: Int) {
        var random = RandomNumbers(seed: columns)
        for depth in GEMMKernelTests.depths {
            var x = random.floats(columns * depth, spread: 2, centre: -0.5)
            for place in 0..<depth { x[columns / 2 * depth + place] = 0 }
            let rows = SpacedRows(x, columns: depth)
            let got = PanelWords(rows, gemm)
            #expect(got.endIsUntouched)
            for column in columns..<(got.starts.last ?? 0) {
                #expect(got.stored(column).allSatisfy { $0 == 0 })
            }
            for column in 0..<columns {
                let stored = got.stored(column)
                #expect(stored.dropFirst(depth).allSatisfy { $0 == 0 })
                let want = x[column * depth..<(column + 1) * depth]
                guard gemm.precision == .int8 else {
                    #expect(
                        stored.prefix(depth)
                            == want.map { self.stored($0, gemm.precision) }[...])
                    continue
                }
                let scale = (want.map { abs($0) }.max() ?? 0) / 127
                #expect(got.scale[column] == scale)
                #expect(stored.allSatisfy { abs($0) <= 127 })
                expectQuantized(
                    stored.prefix(depth).map { $0 * Double(scale) }[...], want, step: scale,
                    "column \(column)")
                let sum = stored.reduce(0, +) * Double(scale)
                #expect(abs(Double(got.sums[column]) - sum) <= 1e-7 * abs(sum))
            }
            let inPieces = PanelWords(rows, gemm, inPieces: true)
            #expect(inPieces.words == got.words)
        }
    }

    @Test("a transposed matrix is packed", arguments: PackedGEMM.available, columnCounts)
    func packTransposed(gemm: PackedGEMM, columns: Int) {
        guard let packTransposed = gemm.table.pack_transposed else {
            #expect(gemm.precision == .int8)
            return
        }
        var random = RandomNumbers(seed: columns)
        for depth in GEMMKernelTests.depths {
            let x = SpacedRows(random.floats(depth * columns), columns: columns)
            let turned = (0..<columns).flatMap { column in
                (0..<depth).map { x.memory[$0 * x.stride + column] }
            }
            var got = PanelWords(columns: columns, depth: depth, gemm)
            packTransposed(&got.words, x.memory, x.stride, columns, depth)
            let want = PanelWords(SpacedRows(turned, columns: depth), gemm)
            #expect(got.words == want.words)
        }
    }

    @Test("a matrix is read back from panels", arguments: PackedGEMM.available, columnCounts)
    func unpackTransposed(gemm: PackedGEMM, columns: Int) {
        guard let unpack = gemm.table.unpack_transposed else {
            #expect(gemm.precision == .int8)
            return
        }
        var random = RandomNumbers(seed: columns)
        for depth in GEMMKernelTests.depths {
            let x = random.floats(columns * depth, spread: 2, centre: -0.5)
            let panels = PanelWords(SpacedRows(x, columns: depth), gemm)
            var got = SpacedRows(rows: depth, columns: columns)
            for panel in panels.panels.reversed() {
                got.memory.withUnsafeMutableBufferPointer { memory in
                    guard let base = memory.baseAddress else { return }
                    unpack(
                        base + panel.lowerBound, got.stride, panels.words, panel.lowerBound,
                        panel.upperBound, columns, depth)
                }
            }
            #expect(got.gapsAreUntouched)
            let want = (0..<depth).flatMap { feature in
                (0..<columns).map { Float(stored(x[$0 * depth + feature], gemm.precision)) }
            }
            #expect(got.elements == want)
        }
    }

    @Test("panels are scaled", arguments: PackedGEMM.available, columnCounts)
    func scalePanels(gemm: PackedGEMM, columns: Int) {
        guard let scale = gemm.table.scale_panels else {
            #expect(gemm.precision == .int8)
            return
        }
        var random = RandomNumbers(seed: columns)
        for depth in GEMMKernelTests.depths {
            let x = random.floats(columns * depth)
            let factors = random.floats(depth, spread: 3)
            let panels = PanelWords(SpacedRows(x, columns: depth), gemm)
            let scaled = x.enumerated().map { place, x in
                Float(stored(x, gemm.precision)) * factors[place % depth]
            }
            var got = PanelWords(columns: columns, depth: depth, gemm)
            for panel in panels.panels.reversed() {
                scale(
                    &got.words, panels.words, panel.lowerBound, panel.upperBound, columns, depth,
                    factors)
            }
            #expect(got.endIsUntouched)
            #expect(got.values == scaled.map { stored($0, gemm.precision) })
            for column in 0..<(got.starts.last ?? 0) {
                let rest = got.stored(column).dropFirst(column < columns ? depth : 0)
                #expect(rest.allSatisfy { $0 == 0 })
            }
        }
    }

    /// Both factors of a product, and the product exactly.
    private struct Case {
        let gemm: PackedGEMM
        let rows: WordRows
        let panels: PanelWords
        let want: [Double]

        init(_ gemm: PackedGEMM, _ x: SpacedRows, _ weight: SpacedRows) {
            let rows = WordRows(x, gemm)
            let panels = PanelWords(weight, gemm)
            var want = [Double](repeating: 0, count: x.rows * weight.rows)
            let (depth, columns) = (x.columns, weight.rows)
            rows.values.withUnsafeBufferPointer { a in
                panels.values.withUnsafeBufferPointer { b in
                    for place in want.indices {
                        let (first, second) = (place / columns * depth, place % columns * depth)
                        var sum = 0.0
                        for index in 0..<depth { sum += a[first + index] * b[second + index] }
                        want[place] = sum
                    }
                }
            }
            (self.gemm, self.rows, self.panels, self.want) = (gemm, rows, panels, want)
        }

        init(_ gemm: PackedGEMM, rows: Int, columns: Int, depth: Int) {
            var random = RandomNumbers(seed: columns + depth)
            self.init(
                gemm,
                SpacedRows(random.floats(rows * depth, centre: 0.25), columns: depth),
                SpacedRows(random.floats(columns * depth), columns: depth))
        }

        /// Some rows times some columns, added to what is there or not. A row before and one after
        /// the result must stay as they are. `areApart` has the same words of all rows beside each
        /// other.
        func multiply(
            _ rowCount: Int, _ columns: Range<Int>, adding: [Float]? = nil, areApart: Bool = false
        ) -> [Float] {
            let width = columns.count
            let unused = SpacedRows(rows: rowCount, columns: width).elements
            let around = SpacedRows(rows: 1, columns: width).elements
            var c = SpacedRows(around + (adding ?? unused) + around, columns: width)
            let words = rows.precision.words(rows.depth)
            let turned = (0..<words * rowCount).map {
                rows.words[$0 % rowCount * rows.stride + $0 / rowCount]
            }
            let (a, b) = (Fixed(areApart ? turned : rows.words), Fixed(panels.words))
            let (scale, offset) = (Fixed(rows.scale), Fixed(rows.offset))
            let (columnScale, sums) = (Fixed(panels.scale), Fixed(panels.sums))
            var left = wk_rows(
                words: a.base, ld: areApart ? 1 : rows.stride, step: areApart ? rowCount : 1,
                scale: scale.base, offset: offset.base)
            var right = wk_panels(
                words: b.base, depth: panels.depth, scale: columnScale.base, sums: sums.base)
            let stride = c.stride
            c.memory.withUnsafeMutableBufferPointer { memory in
                guard let base = memory.baseAddress else { return }
                gemm.table.multiply(
                    base + stride, stride, &left, rowCount, &right, columns.lowerBound,
                    columns.upperBound, panels.columns, adding != nil)
            }
            withExtendedLifetime((a, b, scale, offset, columnScale, sums)) {}
            let elements = c.elements
            let isAroundUntouched = zip(elements.prefix(width), around).allSatisfy {
                $0.bitPattern == $1.bitPattern
            }
            let isEndUntouched = zip(elements.suffix(width), around).allSatisfy {
                $0.bitPattern == $1.bitPattern
            }
            #expect(c.gapsAreUntouched && isAroundUntouched && isEndUntouched)
            return Array(elements.dropFirst(width).dropLast(width))
        }
    }

    /// Sums in single precision of products that are exact, or nearly so.
    private static let bound = 1e-12

    @Test("rows, columns and depths", arguments: PackedGEMM.available, columnCounts)
    func multiply(gemm: PackedGEMM, columns: Int) {
        var random = RandomNumbers(seed: columns)
        for depth in GEMMKernelTests.depths {
            let test = Case(gemm, rows: 19, columns: columns, depth: depth)
            for rows in 1...19 where (rows + columns + depth) % 3 == 0 || rows == 19 {
                let want = Array(test.want.prefix(rows * columns))
                expectNear(
                    test.multiply(rows, 0..<columns), want, squares: GEMMKernelTests.bound,
                    "\(rows) rows, depth \(depth)")
                let before = random.floats(rows * columns, spread: 5)
                expectNear(
                    test.multiply(rows, 0..<columns, adding: before),
                    zip(want, before).map { $0 + Double($1) }, squares: GEMMKernelTests.bound,
                    "\(rows) rows added, depth \(depth)")
            }
        }
    }

    /// More rows than any kernel holds the sums of.
    @Test("many rows, and rows whose words lie apart", arguments: PackedGEMM.available)
    func manyRows(gemm: PackedGEMM) {
        for (rows, depth) in [(40, 70), (48, 100), (97, 33), (131, 600)] {
            let test = Case(gemm, rows: rows, columns: 65, depth: depth)
            let before = [Float](repeating: 2, count: rows * 65)
            for areApart in gemm.rowPrecision == .int8 ? [false] : [false, true] {
                expectNear(
                    test.multiply(rows, 0..<65, areApart: areApart), test.want,
                    squares: GEMMKernelTests.bound, "\(rows) rows, apart: \(areApart)")
                expectNear(
                    test.multiply(rows, 0..<65, adding: before, areApart: areApart),
                    test.want.map { $0 + 2 }, squares: GEMMKernelTests.bound,
                    "\(rows) rows added, apart: \(areApart)")
            }
        }
    }

    @Test("some of the columns", arguments: PackedGEMM.available, columnCounts)
    func columnRanges(gemm: PackedGEMM, columns: Int) {
        let rows = 11
        let test = Case(gemm, rows: rows, columns: columns, depth: 37)
        let whole = test.multiply(rows, 0..<columns)
        for (number, panel) in test.panels.panels.enumerated() {
            for end in test.panels.panels[number...].map(\.upperBound) {
                let range = panel.lowerBound..<end
                let want = (0..<rows).flatMap { row in range.map { whole[row * columns + $0] } }
                #expect(test.multiply(rows, range) == want, "\(range)")
            }
        }
    }

    /// Sums that go to memory and back.
    @Test("more words than a depth block has", arguments: PackedGEMM.available)
    func deep(gemm: PackedGEMM) {
        let depth = 1536 * gemm.precision.featuresInWord + 1
        let test = Case(gemm, rows: 9, columns: 17, depth: depth)
        expectNear(test.multiply(9, 0..<17), test.want, squares: GEMMKernelTests.bound)
        let before = [Float](repeating: 3, count: 9 * 17)
        expectNear(
            test.multiply(9, 0..<17, adding: before), test.want.map { $0 + 3 },
            squares: GEMMKernelTests.bound)
    }

    /// 255 · 127 in every place, which sums of 16 bits could not hold.
    @Test("the largest products", arguments: PackedGEMM.available)
    func largest(gemm: PackedGEMM) {
        let depth = 6000
        var x = SpacedRows([Float](repeating: 1, count: 2 * depth), columns: depth)
        // From 0 on, and from 1 downwards.
        x.memory[0] = 0
        let weights = [Float](repeating: -1, count: depth) + [Float](repeating: 1, count: depth)
        let test = Case(gemm, x, SpacedRows(weights, columns: depth))
        let want = [1 - depth, depth - 1, -depth, depth].map { Double($0) }
        expectNear(test.multiply(2, 0..<2), want, squares: GEMMKernelTests.bound)
    }

    @Test("no rows, and rows of nothing", arguments: PackedGEMM.available)
    func nothing(gemm: PackedGEMM) {
        let test = Case(gemm, rows: 3, columns: 20, depth: 4)
        #expect(test.multiply(0, 0..<20) == [])
        guard gemm.precision != .int8 else { return }
        let empty = PanelWords(columns: 20, depth: 0, gemm)
        let sums = empty.words.withUnsafeBufferPointer { words -> [Float] in
            var c = [Float](repeating: 7, count: 40)
            guard let base = words.baseAddress else { return c }
            var left = wk_rows(words: base, ld: 0, step: 1, scale: nil, offset: nil)
            var right = wk_panels(words: base, depth: 0, scale: nil, sums: nil)
            gemm.table.multiply(&c, 20, &left, 2, &right, 0, 20, 20, false)
            return c
        }
        #expect(sums == [Float](repeating: 0, count: 40))
    }

    /// Otherwise a network that has broken down would go on with numbers that look healthy.
    @Test(
        "what is not finite shows in its whole row or column", arguments: PackedGEMM.available,
        [.nan, .infinity, -.infinity] as [Float])
    func notFinite(gemm: PackedGEMM, value: Float) {
        let (rows, columns) = (9, 35)
        for depth in [1, 2, 17, 40] {
            for place in [0, depth / 2, depth - 1] {
                var random = RandomNumbers(seed: depth)
                var x = SpacedRows(random.floats(rows * depth, centre: 2), columns: depth)
                var weight = SpacedRows(
                    random.floats(columns * depth, centre: 2), columns: depth)
                x.memory[7 * x.stride + place] = value
                weight.memory[33 * weight.stride + place] = value
                let got = Case(gemm, x, weight).multiply(rows, 0..<columns)
                for (index, number) in got.enumerated() {
                    let isBroken = index / columns == 7 || index % columns == 33
                    #expect(number.isFinite != isBroken, "\(index) of depth \(depth)")
                }
            }
        }
    }
}
